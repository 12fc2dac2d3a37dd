package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	dto "github.com/prometheus/client_model/go"
)

const (
	flaggerNamespace = "bench-flagger"
	flaggerPort      = "18082"
)

// standing is the cost of canaries that stand still.
type standing struct {
	n        int
	cpu      float64 // seconds a minute
	requests float64 // to the API a minute, the cluster's own taken off
	memory   float64 // resident bytes
}

func (s standing) String() string {
	n := float64(s.n)
	return fmt.Sprintf("%d canaries that stand still: %.2f CPU-seconds and %.0f API requests a minute (%.2f ms and %.2f for each); %.0f MB resident\n",
		s.n, s.cpu, s.requests, 1000*s.cpu/n, s.requests/n, s.memory/1e6)
}

// besideFlagger measures Flagger over n canaries that are initialized and have
// nothing new, on one core, and fairlead over as many. Flagger asks at each
// interval of the analysis, which is its default of a minute here.
func (w *world) besideFlagger(ctx context.Context, fairlead, flagger, crd string, n int) error {
	if out, err := exec.CommandContext(ctx, os.Getenv("FAIRLEAD_TEST_KUBECTL"), "apply", "--server-side", "-f", crd).CombinedOutput(); err != nil {
		return fmt.Errorf("apply %s: %w: %s", crd, err, out)
	}
	if err := w.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: flaggerNamespace}}); err != nil {
		return err
	}
	err := each(0, n, func(i int) error {
		for _, o := range flaggerObjects(name(i)) {
			if err := w.create(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.rest(ctx, flaggerNamespace); err != nil {
		return err
	}
	base, err := w.still(ctx, nil, "", n)
	if err != nil {
		return err
	}
	fmt.Printf("the cluster itself: %.0f API requests a minute\n", base.requests)
	for _, subject := range []struct {
		name, url string
		args      []string
		settled   func() error
	}{
		{"fairlead", "http://" + metricsAddress + "/metrics",
			[]string{fairlead, "controller", "--leader-elect=false", "--namespace", namespace, "--metrics", metricsAddress, "--health", "0", "--log-level", "error"},
			func() error { return settled(ctx, float64(n)) }},
		{"Flagger", "http://127.0.0.1:" + flaggerPort + "/metrics",
			[]string{flagger, "-namespace", flaggerNamespace, "-mesh-provider", "gatewayapi:v1", "-metrics-server", "http://127.0.0.1:9", "-port", flaggerPort, "-log-level", "error", "-kubeconfig", os.Getenv("KUBECONFIG")},
			func() error { return w.initialized(ctx, n) }},
	} {
		s, err := func() (standing, error) {
			cmd := exec.CommandContext(ctx, subject.args[0], subject.args[1:]...)
			cmd.Env = append(os.Environ(), "OTEL_SDK_DISABLED=true", "GOMAXPROCS=1")
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				return standing{}, err
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			if err := subject.settled(); err != nil {
				return standing{}, err
			}
			return w.still(ctx, &base, subject.url, n)
		}()
		if err != nil {
			return fmt.Errorf("%s: %w", subject.name, err)
		}
		fmt.Printf("%s: %s", subject.name, s)
	}
	return nil
}

// flaggerObjects are a Canary and its Deployments. The primary is there already,
// with no replicas as its target: else Flagger would wait for a pod.
func flaggerObjects(name string) []client.Object {
	var out []client.Object
	for _, suffix := range []string{"", "-primary"} {
		pods := map[string]string{"app": name + suffix}
		none, never := int32(0), int32(math.MaxInt32)
		out = append(out, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: flaggerNamespace, Name: name + suffix},
			Spec: appsv1.DeploymentSpec{
				Replicas: &none, ProgressDeadlineSeconds: &never, Selector: &metav1.LabelSelector{MatchLabels: pods},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}}},
			},
		})
	}
	return append(out, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
		"metadata": map[string]any{"namespace": flaggerNamespace, "name": name},
		"spec": map[string]any{
			"targetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
			"service": map[string]any{
				"port": int64(80), "hosts": []any{name + ".bench.example"}, "gatewayRefs": []any{map[string]any{"name": "gateway", "namespace": flaggerNamespace}},
			},
			"analysis": map[string]any{"interval": "1m", "threshold": int64(5), "maxWeight": int64(50), "stepWeight": int64(5)},
		},
	}})
}

// initialized waits until Flagger has all canaries where nothing is left to do.
func (w *world) initialized(ctx context.Context, n int) error {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("flagger.app/v1beta1")
	list.SetKind("CanaryList")
	have, phases := 0, map[string]int{}
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); {
		if err := w.client.List(ctx, list, client.InNamespace(flaggerNamespace)); err != nil {
			return err
		}
		clear(phases)
		for _, c := range list.Items {
			phase, _, _ := unstructured.NestedString(c.Object, "status", "phase")
			phases[phase]++
		}
		if have = phases["Initialized"]; have == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
	return fmt.Errorf("after four minutes %d of %d canaries are initialized: %v", have, n, phases)
}

// still measures a minute in which nothing is asked for.
func (w *world) still(ctx context.Context, base *standing, url string, n int) (standing, error) {
	const window = time.Minute
	read := func() (requests float64, own map[string]*dto.MetricFamily, err error) {
		if requests, err = apiRequests(ctx); err == nil && url != "" {
			own, err = scrapeFrom(ctx, url)
		}
		return requests, own, err
	}
	requests, before, err := read()
	if err != nil {
		return standing{}, err
	}
	select {
	case <-ctx.Done():
		return standing{}, ctx.Err()
	case <-time.After(window):
	}
	after, own, err := read()
	if err != nil {
		return standing{}, err
	}
	s := standing{n: n, requests: (after - requests) / window.Minutes()}
	if base != nil {
		s.requests -= base.requests
		s.cpu = (sum(own, "process_cpu_seconds_total") - sum(before, "process_cpu_seconds_total")) / window.Minutes()
		s.memory = sum(own, "process_resident_memory_bytes")
	}
	return s, nil
}

// apiRequests is what the API server has answered since its start.
func apiRequests(ctx context.Context) (float64, error) {
	c, err := config.GetConfig()
	if err != nil {
		return 0, err
	}
	api, err := discovery.NewDiscoveryClientForConfig(c)
	if err != nil {
		return 0, err
	}
	text, err := api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("metrics of the API server: %w", err)
	}
	families, err := parse(strings.NewReader(string(text)))
	if err != nil {
		return 0, err
	}
	total := sum(families, "apiserver_request_total")
	if total == 0 {
		return 0, errors.New("the API server counts no requests")
	}
	return total, nil
}

func scrapeFrom(ctx context.Context, url string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return parse(resp.Body)
}
