//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// shopImage is the example application as an image of the test bed.
const shopImage = "fairlead.test/shop:1"

// shopPaths are requested with falling weights; the second is the one that breaks.
var shopPaths = []string{"/", "/search", "/products", "/cart", "/checkout/session", "/checkout/order", "/account", "/stores"}

var (
	shopOnce sync.Once
	errShop  error
	crdOnce  sync.Once
)

// canaryScene is one test's shop in two tracks behind a real gateway, a real
// server and users.
type canaryScene struct {
	*scene
	app          string           // name of the shop, its service.name too
	server, otlp string           // of `fairlead server`
	token        string           // of the server, "" = none
	source       *exec.Cmd        // that server
	serve        func() *exec.Cmd // starts it again, with what it had
	front        *front
	controller   *exec.Cmd
	log          *safeBuffer
	kubeconfig   string // of the controller
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newCanaryScene deploys the shop 1.0.0 with two replicas, and an empty canary.
func newCanaryScene(t *testing.T) *canaryScene {
	t.Helper()
	s := newShop(t)
	s.installCRDs()
	s.openShop()
	return s
}

// named is another shop beside this one, of the same server and controller.
func (s *canaryScene) named(app string) *canaryScene {
	other := *s
	other.app, other.front = app, nil
	return &other
}

// openShop deploys both tracks and waits until users reach stable.
func (s *canaryScene) openShop(env ...string) {
	s.t.Helper()
	s.apply(s.manifests(env...))
	s.kubectl("-n", s.namespace, "rollout", "status", "deployment/"+s.app, "--timeout=60s")
	s.openFront()
}

func (s *canaryScene) installCRDs() {
	s.t.Helper()
	crdOnce.Do(func() { s.apply(s.fairlead("export", "crds").stdout) })
	s.kubectl("wait", "--for=condition=Established", "crd/canaryreleases.fairlead.dev", "--timeout=20s")
}

// newShop is a scene with the shop's image and a server, and nothing deployed.
func newShop(t *testing.T) *canaryScene {
	t.Helper()
	node := addShopImage(t)
	s := &canaryScene{scene: newScene(t, 4), app: "shop", log: &safeBuffer{}}
	s.startServer(node)
	return s
}

// addShopImage puts the example application's image into the cluster, and
// returns the address under which pods reach the tests.
func addShopImage(t *testing.T) (node string) {
	t.Helper()
	ctl, node := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL"), os.Getenv("FAIRLEAD_TEST_NODE_ADDRESS")
	if ctl == "" || node == "" || os.Getenv("FAIRLEAD_TEST_GATEWAY") == "" {
		t.Skip("SKIPPED: needs the test bed's gateway, and an image that is put into it")
	}
	shopOnce.Do(func() {
		shop, err := filepath.Abs("../../bin/shop")
		if err == nil {
			_, err = os.Stat(shop)
		}
		if err == nil {
			var out []byte
			if out, err = exec.Command(ctl, "image", "add", "shop:1="+shop).CombinedOutput(); err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		}
		errShop = err
	})
	if errShop != nil {
		t.Fatalf("image of the shop (make build): %v", errShop)
	}
	return node
}

func (s *canaryScene) host() string { return s.namespace + "." + s.app + ".example" }

func freePort(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startServer runs a real server that pods reach, with further flags.
func (s *canaryScene) startServer(node string, more ...string) {
	s.t.Helper()
	query, otlp := freePort(s.t, node), freePort(s.t, node)
	s.server, s.otlp = "http://"+query, "http://"+otlp
	data := s.t.TempDir()
	s.serve = func() *exec.Cmd {
		return s.background(nil, append([]string{"server", "--data", data, "--http", query, "--otlp-http", otlp, "--otlp-grpc", "off", "--insecure", "--log-level", "warn"}, more...)...)
	}
	s.source = s.serve()
	s.await("the server", 30*time.Second, func() bool {
		resp, err := http.Get(s.server + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// background runs fairlead until the test ends.
func (s *canaryScene) background(env []string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(fairlead(), args...)
	cmd.Env = append(s.base(), env...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { end(cmd) })
	return cmd
}

// end ends a process for good.
func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// identity returns a kubeconfig with the permissions of the controller and no
// others.
func (s *canaryScene) identity() string {
	s.t.Helper()
	s.apply(s.fairlead("export", "rbac", "controller", "--namespace", s.namespace, "--own-namespace", s.namespace).stdout)
	return s.kubeconfigOf("fairlead-controller")
}

// kubeconfigOf returns a kubeconfig of a service account.
func (s *canaryScene) kubeconfigOf(account string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	token := strings.TrimSpace(s.kubectl("-n", s.namespace, "create", "token", account))
	var config map[string]any
	if err := json.Unmarshal([]byte(s.kubectl("config", "view", "--minify", "--flatten", "-o", "json")), &config); err != nil {
		s.t.Fatal(err)
	}
	user := config["users"].([]any)[0].(map[string]any)
	user["user"] = map[string]any{"token": token}
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// startController runs the controller of this test's namespace alone, with its
// own permissions.
func (s *canaryScene) startController(more ...string) {
	s.t.Helper()
	if s.kubeconfig == "" {
		s.kubeconfig = s.identity()
	}
	args := []string{
		"controller", "--kubeconfig", s.kubeconfig, "--namespace", s.namespace, "--leader-namespace", s.namespace, "--lease-duration", "3s", "--server", s.server,
		"--metrics", "0", "--health", "0", "--drain", "5s",
	}
	s.controller = s.background([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.otlp, "OTEL_METRIC_EXPORT_INTERVAL=1000"}, append(args, more...)...)
}

// killController ends it as a node that goes does.
func (s *canaryScene) killController() {
	s.t.Helper()
	end(s.controller)
}

func (s *canaryScene) apply(manifests string) {
	s.t.Helper()
	if out, err := s.tryApply(manifests); err != nil {
		s.t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

func (s *canaryScene) tryApply(manifests string) (string, error) {
	cmd := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// manifests are the shop in two tracks, two Services and a route: nothing of
// fairlead's.
func (s *canaryScene) manifests(env ...string) string {
	return s.deployment(s.app, "stable", "1.0.0", 2, env...) + s.deployment(s.canary(), "canary", "1.0.0", 0, env...) + s.entrance()
}

func (s *canaryScene) canary() string { return s.app + "-canary" }

// entrance is the two Services and the route of the shop.
func (s *canaryScene) entrance() string {
	return s.service(s.app, "stable") + s.service(s.canary(), "canary") + fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[3]s, namespace: %[1]s}
spec:
  parentRefs: [{name: gateway, namespace: default}]
  hostnames: [%[2]q]
  rules:
  - backendRefs:
    - {name: %[3]s, port: 80, weight: 100}
    - {name: %[3]s-canary, port: 80, weight: 0}
`, s.namespace, s.host(), s.app)
}

func (s *canaryScene) service(name, track string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec: {selector: {app: %s, track: %s}, ports: [{port: 80, targetPort: 8080}]}
`, name, s.namespace, s.app, track)
}

// deployment is a track of the shop; more are further variables, name=value.
// Replicas below 0 are left out.
func (s *canaryScene) deployment(name, track, version string, replicas int, more ...string) string {
	env := ""
	for _, kv := range append([]string{
		"OTEL_SERVICE_NAME=" + s.app, "APP_VERSION=" + version, "DEPLOYMENT_TRACK=" + track, "OTEL_EXPORTER_OTLP_ENDPOINT=" + s.otlp,
		"OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_BSP_SCHEDULE_DELAY=500", "SHOP_ERROR_RATE=0", "SHOP_LINGER=3s",
	}, more...) {
		k, v, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(more, func(over string) bool { return strings.HasPrefix(over, k+"=") && over != kv }) {
			continue
		}
		env += fmt.Sprintf("        - {name: %s, value: %q}\n", k, v)
	}
	scale := ""
	if replicas >= 0 {
		scale = fmt.Sprintf("  replicas: %d\n", replicas)
	}
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
%[5]s  selector: {matchLabels: {app: %[7]s, track: %[3]s}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: %[7]s, track: %[3]s}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: shop
        image: %[6]s
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        env:
%[4]s        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
`, name, s.namespace, track, env, scale, shopImage, s.app)
}

// canaryRelease is a CanaryRelease with short gates; lines of yaml replace or
// add to its spec.
func (s *canaryScene) canaryRelease(spec string) string {
	return fmt.Sprintf(`---
apiVersion: fairlead.dev/v1alpha1
kind: CanaryRelease
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  service: %[2]s
  stable: {workload: {name: %[2]s}, service: %[2]s}
  canary: {workload: {name: %[2]s-canary}, service: %[2]s-canary}
  traffic: {httpRoute: {name: %[2]s}}
%[3]s`, s.namespace, s.app, spec)
}

// shortGates takes a good canary to 100 in about a minute.
const shortGates = `  steps: [{weight: 5, gate: 25s}, {weight: 25, gate: 10s}, {weight: 50, gate: 10s}, {weight: 100}]
  deadline: 5m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`

// get reads the CanaryRelease.
func (s *canaryScene) get() v1alpha1.CanaryRelease {
	s.t.Helper()
	var cr v1alpha1.CanaryRelease
	if err := json.Unmarshal([]byte(s.kubectl("-n", s.namespace, "get", "canaryrelease", s.app, "-o", "json")), &cr); err != nil {
		s.t.Fatal(err)
	}
	return cr
}

func (s *canaryScene) await(what string, most time.Duration, is func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(most)
	for !is() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s in vain for %s\n%s", most, what, s.story())
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// awaitPhase waits for a phase, and returns the CanaryRelease then.
func (s *canaryScene) awaitPhase(phase string, most time.Duration) v1alpha1.CanaryRelease {
	s.t.Helper()
	var cr v1alpha1.CanaryRelease
	s.await("phase "+phase, most, func() bool {
		cr = s.get()
		return cr.Status.Phase == phase
	})
	return cr
}

// story is what people would look at.
func (s *canaryScene) story() string {
	out := ""
	for _, args := range [][]string{
		{"get", "canaryrelease", "-o", "wide"}, {"get", "canaryrelease", "-o", "yaml"}, {"get", "pods"}, {"get", "events", "--sort-by=.lastTimestamp"},
	} {
		text, _ := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), append([]string{"-n", s.namespace}, args...)...).CombinedOutput()
		out += fmt.Sprintf("$ kubectl %s\n%s\n", strings.Join(args, " "), text)
	}
	if s.front != nil {
		out += s.front.story()
	}
	return out + "fairlead:\n" + s.log.String()
}

// weight is what the route gives the canary.
func (s *canaryScene) weight() string {
	s.t.Helper()
	return s.kubectl("-n", s.namespace, "get", "httproute", s.app, "-o", fmt.Sprintf(`jsonpath={.spec.rules[-1:].backendRefs[?(@.name==%q)].weight}`, s.canary()))
}

func (s *canaryScene) approve(step int) {
	s.t.Helper()
	s.annotate(v1alpha1.AnnotationApprove, v1alpha1.ApproveValue(s.get().Status.RolloutID, step))
}

// of is a path of a workload.
func (s *canaryScene) of(kind, name, path string) string {
	s.t.Helper()
	return s.kubectl("-n", s.namespace, "get", kind, name, "-o", "jsonpath="+path)
}

// stays fails when is does not hold for that long.
func (s *canaryScene) stays(what string, long time.Duration, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if !is() {
			s.t.Fatalf("%s: not any more\n%s", what, s.story())
		}
	}
}
