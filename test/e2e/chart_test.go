//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chartImage is bin/fairlead as the image of `make e2e`.
const chartImage = "image.repository=fairlead.test/fairlead,image.tag=test"

// TestChart: the chart, installed, upgraded, rolled back and uninstalled by
// fairlead helm with Helm 3 and 4, in a namespace that allows restricted pods
// only; its parts work: the agent's word of this very release reaches the server
// and the data is on the volume.
func TestChart(t *testing.T) {
	if os.Getenv("FAIRLEAD_TEST_CLUSTER") == "" {
		t.Skip("the image of fairlead is served by the test bed only")
	}
	eachHelm(t, func(t *testing.T, s *scene) {
		s.kubectl("label", "namespace", s.namespace, "pod-security.kubernetes.io/enforce=restricted")
		chart := filepath.Join(t.TempDir(), "chart")
		if r := s.fairlead("export", "chart", chart); r.code != 0 {
			t.Fatalf("export chart: exit code %d\n%s", r.code, r.stderr)
		}
		// Other tests have the definitions and releases of their own.
		values := chartImage + ",agent.namespaces={" + s.namespace + "},controller.namespaces={" + s.namespace + "}"
		definitions := []string{"--take-ownership"}
		volume := t.TempDir()
		if s.major == 4 {
			values += ",server.persistence.enabled=false"
		} else {
			values += ",crds.install=false,server.persistence.size=1Gi,server.persistence.storageClass=" + s.volume(volume)
			definitions = nil
			s.kubectl("apply", "--server-side", "--force-conflicts", "-f", s.file("crds.yaml", s.fairlead("export", "crds").stdout))
		}
		helm := func(args ...string) {
			t.Helper()
			r := s.fairlead(append([]string{"helm"}, args...)...)
			if r.code != 0 {
				t.Fatalf("fairlead helm %v: exit code %d\n%s\n%s", args, r.code, r.stderr, s.kubectl("-n", s.namespace, "get", "pods"))
			}
			t.Logf("helm %s: %s", args[0], r.took.Round(100*time.Millisecond))
		}
		helm(append([]string{"install", "fairlead", chart, "--set", values, "--wait", "--timeout", "90s"}, definitions...)...)

		base := "http://" + s.kubectl("-n", s.namespace, "get", "service", "fairlead", "-o", "jsonpath={.spec.clusterIP}") + ":8484"
		token := s.chartToken()
		if code, _ := get(t, base+"/api/v1/releases", ""); code != http.StatusUnauthorized {
			t.Errorf("without a token the server answers %d", code)
		}
		eventually(t, time.Minute, "the agent tells of this release", func() string {
			code, body := get(t, base+"/api/v1/releases", token)
			if code != http.StatusOK || !strings.Contains(body, `"fairlead"`) {
				return fmt.Sprintf("%d %s", code, body)
			}
			return ""
		})
		kept := s.sendTrace(base, token)
		helm(append([]string{"upgrade", "fairlead", chart, "--set", values + ",server.config.store.telemetry.retention=2d", "--wait", "--timeout", "90s"}, definitions...)...)
		if now := s.chartToken(); now != token {
			t.Error("the upgrade has changed the token")
		}
		helm("rollback", "fairlead", "1", "--wait", "--timeout", "90s")
		if got := s.history("fairlead"); got != "1 superseded, 2 superseded, 3 deployed" {
			t.Errorf("history %s", got)
		}
		if s.major == 3 { // two pods later, on the volume
			eventually(t, 30*time.Second, "the trace is there after upgrade and rollback", func() string {
				code, body := get(t, kept, token)
				if code != http.StatusOK {
					return fmt.Sprintf("%d %s", code, body)
				}
				return ""
			})
		}
		helm("uninstall", "fairlead", "--wait", "--timeout", "90s")
		if crd := s.kubectl("get", "crd", "canaryreleases.fairlead.dev", "-o", "name"); crd == "" {
			t.Error("the definitions were not kept")
		}
		claims := s.kubectl("-n", s.namespace, "get", "pvc", "-o", "name")
		if (claims != "") != (s.major == 3) {
			t.Errorf("claims after the uninstallation: %q", claims)
		}
		if files, err := os.ReadDir(volume); err != nil || (len(files) > 0) != (s.major == 3) {
			t.Errorf("on the volume: %v, %v", files, err)
		}
	})
}

// sendTrace sends a span to the server at base, and returns where its trace is read.
func (s *scene) sendTrace(base, token string) string {
	s.t.Helper()
	const id = "5b8efff798038103d269b633813fc60c"
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":%q,"spanId":"eee19b7ec3c1b174","name":"kept","kind":1,`+
		`"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, id, now-1e6, now)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, strings.Replace(base, ":8484", ":4318", 1)+"/v1/traces", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("a span is answered %s", resp.Status)
	}
	return base + "/tempo/api/traces/" + id
}

// volume makes a volume of a directory of the node, and returns its storage class.
func (s *scene) volume(dir string) string {
	s.t.Helper()
	if err := os.Chmod(dir, 0o777); err != nil { // a node's directory, not the pod's user's
		s.t.Fatal(err)
	}
	s.kubectl("apply", "-f", s.file("volume.yaml", `
apiVersion: v1
kind: PersistentVolume
metadata: {name: `+s.namespace+`}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: `+s.namespace+`
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: `+dir+`}
`))
	s.t.Cleanup(func() {
		_ = exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "delete", "persistentvolume", s.namespace, "--wait=false").Run()
	})
	return s.namespace
}

func (s *scene) chartToken() string {
	s.t.Helper()
	text := s.kubectl("-n", s.namespace, "get", "secret", "fairlead-token", "-o", "jsonpath={.data.token}")
	token, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(token) < 32 {
		s.t.Fatalf("token of %d characters: %v", len(token), err)
	}
	return string(token)
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// TestChartRendered: lint and templates with both Helms and many settings, what
// is wrong is refused by name, the API server takes all of it, and the plain
// manifests are what the chart renders.
func TestChartRendered(t *testing.T) {
	t.Parallel()
	const chart = "../../charts/fairlead"
	settings := []string{
		"clusterName=prod", "auth.insecure=true", "auth.existingSecret=mine,auth.access={ingest,read,write}", "caBundle.configMap=ca",
		"server.persistence.enabled=false,server.ingress.enabled=true,server.ingress.host=f.example.com,server.ingress.className=nginx",
		"server.enabled=false,agent.endpoint=http://otel:4318,controller.prometheus=http://prometheus:9090",
		"networkPolicy.from[0].namespaceSelector.matchLabels.team=ops,server.config.store.telemetry.retention=2d",
		"server.service.type=NodePort,server.ingress.enabled=true,server.ingress.host=f.example.com,server.ingress.tls[0].secretName=f",
		"agent.namespaces={NAMESPACE},agent.storage=configmaps,controller.enabled=false", "agent.enabled=false,networkPolicy.enabled=false,crds.keep=false",
	}
	if newScene(t, 4).serviceMonitors() {
		settings = append(settings, "server.serviceMonitor.enabled=true,server.serviceMonitor.labels.team=ops", "auth.insecure=true,server.serviceMonitor.enabled=true")
	}
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must("lint", "--strict", chart)
		dir := t.TempDir()
		for i, set := range settings {
			set = strings.ReplaceAll(set, "NAMESPACE", s.namespace)
			r := s.plain("template", "fairlead", chart, "--namespace", s.namespace, "--kube-version", "1.31.0", "--set", set)
			if r.code != 0 {
				t.Errorf("--set %s: %s", set, r.stderr)
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.yaml", i)), []byte(r.stdout), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.kubectl("apply", "--dry-run=server", "-n", s.namespace, "-f", dir)
		for set, want := range map[string]string{
			"auth.acess={read}": "acess", "agent.storage=etcd": "storage", "server.persistence.size=big": "size",
			"server.enabled=false,controller.enabled=false": "agent.endpoint", "server.enabled=false,agent.enabled=false": "controller.prometheus",
			"server.ingress.enabled=true": "server.ingress.host", "image.pullPolicy=Sometimes": "pullPolicy", "agent.replicas=-1": "replicas",
			"server.serviceMonitor.interval=often": "interval", "auth.access={everything}": "access", "server.service.type=Public": "type",
		} {
			if r := s.plain("template", "fairlead", chart, "--kube-version", "1.31.0", "--set", set); r.code == 0 || !strings.Contains(r.stderr, want) {
				t.Errorf("--set %s: exit code %d, want an error that names %s: %s", set, r.code, want, r.stderr)
			}
		}
		if s.major == 4 {
			r := s.plain("template", "fairlead", chart, "--kube-version", "1.31.0", "--namespace", "fairlead", "--set", "auth.existingSecret=fairlead-token")
			if have := s.fairlead("export", "manifests"); have.stdout != r.stdout {
				t.Error("deploy/manifests is not what the chart renders: run make manifests")
			}
		}
	})
}

// serviceMonitors is whether the cluster knows ServiceMonitors. The test bed is
// taught the Prometheus operator's definition, which `make e2e` has fetched; a
// cluster of KUBECONFIG is left as it is.
func (s *scene) serviceMonitors() bool {
	s.t.Helper()
	if os.Getenv("FAIRLEAD_TEST_CLUSTER") != "" {
		s.kubectl("apply", "--server-side", "-f", "../../bin/servicemonitors.yaml")
		s.kubectl("wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com", "--timeout=30s")
		return true
	}
	if s.kubectl("get", "crd", "servicemonitors.monitoring.coreos.com", "--ignore-not-found", "-o", "name") == "" {
		s.t.Log("SKIPPED: ServiceMonitors, which this cluster does not know")
		return false
	}
	return true
}
