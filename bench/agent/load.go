package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// perNamespace is how many releases share a namespace.
const perNamespace = 100

type writer struct {
	client kubernetes.Interface
	o      options
}

func namespace(i int) string { return fmt.Sprintf("bench-%03d", i/perNamespace) }

// releases writes the records as Helm does.
func (w writer) releases(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	for i := 0; i < w.o.releases; i += perNamespace {
		_, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i)}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return 0, err
		}
	}
	var done atomic.Int64
	err := w.each(w.o.releases, func(i int) error {
		if n := done.Add(1); n%500 == 0 {
			say("%d of %d releases made", n, w.o.releases)
		}
		name := fmt.Sprintf("release-%04d", i)
		for revision := 1; revision <= w.o.revisions; revision++ {
			status := "superseded"
			if revision == w.o.revisions {
				status = "deployed"
			}
			_, err := w.client.CoreV1().Secrets(namespace(i)).Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Name:   fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision),
					Labels: map[string]string{"owner": "helm", "name": name, "version": fmt.Sprint(revision), "status": status, "modifiedAt": "1700000000"},
				},
				Type: "helm.sh/release.v1", Data: map[string][]byte{"release": body(namespace(i), name, revision, status)},
			}, metav1.CreateOptions{FieldManager: "helm"})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return nil
	})
	return time.Since(start), err
}

// each calls f for 0..n-1 from several goroutines.
func (w writer) each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	next := make(chan int)
	errs := make([]error, w.o.writers)
	for g := range w.o.writers {
		wg.Go(func() {
			for i := range next {
				if errs[g] == nil {
					errs[g] = f(i)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// body is a record of three objects with manifests of a usual size.
func body(ns, name string, revision int, status string) []byte {
	object := func(kind string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: %s\nmetadata:\n  name: %s\n  labels: {%s}\n", kind, name, strings.Repeat("a: b, ", 40))
	}
	plain := fmt.Sprintf(`{"name":%q,"info":{"first_deployed":"2026-01-01T00:00:00Z","last_deployed":"2026-02-01T00:00:%02dZ","description":"Upgrade complete","status":%q},`+
		`"chart":{"metadata":{"name":"app","version":"1.2.3","appVersion":"2.0"},"templates":[{"name":"t","data":%q}]},"config":{"replicas":2},"manifest":%q,"version":%d,"namespace":%q}`,
		name, revision, status, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(object("Deployment")), 6)), object("Deployment")+object("Service")+object("ConfigMap"), revision, ns)
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte(plain))
	_ = z.Close()
	return []byte(base64.StdEncoding.EncodeToString(buf.Bytes()))
}

// events makes events at the rate asked for, whatever becomes of the API server
// meanwhile: what it did not take is tried again.
func (w writer) events(ctx context.Context) (made int, err error) {
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	slots := make(chan struct{}, 4*w.o.writers)
	start := time.Now()
	total := int(float64(w.o.events) * w.o.during.Seconds())
	for ; made < total && failed.Load() == nil; made++ {
		time.Sleep(time.Until(start.Add(time.Duration(made) * time.Second / time.Duration(w.o.events))))
		if made%(60*w.o.events) == 0 {
			say("%d of %d events made", made, total)
		}
		if w.o.reconnect && made == total/2 {
			wg.Go(func() {
				if err := restartAPIServer(); err != nil {
					failed.Store(&err)
				}
			})
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := w.event(ctx, made); err != nil {
				failed.Store(&err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return made, *err
	}
	return made, nil
}

// event makes one, once: a request that was cut off may have been served.
func (w writer) event(ctx context.Context, n int) (err error) {
	now := metav1.Now()
	ns := namespace(n % max(w.o.releases, 1))
	name := fmt.Sprintf("bench.%d.%d", now.UnixNano(), n)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		_, err = w.client.CoreV1().Events(ns).Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: name},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: fmt.Sprintf("pod-%d", n%1000)},
			Reason:         "BackOff", Message: "Back-off restarting failed container app", Type: "Warning",
			FirstTimestamp: now, LastTimestamp: now, Count: 1, Source: corev1.EventSource{Component: "bench"},
		}, metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		if !w.o.reconnect {
			return err
		}
	}
	return err
}

// restartAPIServer ends the test bed's API server and waits for it to answer again.
func restartAPIServer() error {
	say("restarting the API server")
	out, err := exec.Command(os.Getenv("FAIRLEAD_TEST_CLUSTERCTL"), "component", "restart", "kube-apiserver").CombinedOutput()
	if err != nil {
		return fmt.Errorf("restart kube-apiserver: %w: %s", err, out)
	}
	say("the API server answers again")
	return nil
}
