//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chartImage is bin/fairlead as the image of `make e2e`.
const chartImage = "image.repository=fairlead.test/fairlead,image.tag=test"

// TestChart: the chart, installed, upgraded, rolled back and uninstalled by
// fairlead helm, in a namespace that allows restricted pods only; its parts
// work: the agent's word of this very release reaches the server.
func TestChart(t *testing.T) {
	if os.Getenv("FAIRLEAD_TEST_CLUSTER") == "" {
		t.Skip("the image of fairlead is served by the test bed only")
	}
	s := newScene(t, 4)
	s.kubectl("label", "namespace", s.namespace, "pod-security.kubernetes.io/enforce=restricted")
	chart := filepath.Join(t.TempDir(), "chart")
	if r := s.fairlead("export", "chart", chart); r.code != 0 {
		t.Fatalf("export chart: exit code %d\n%s", r.code, r.stderr)
	}
	// Other tests have the definitions and releases of their own.
	values := chartImage + ",server.persistence.enabled=false,agent.namespaces={" + s.namespace + "},controller.namespaces={" + s.namespace + "}"
	helm := func(args ...string) {
		t.Helper()
		r := s.fairlead(append([]string{"helm"}, args...)...)
		if r.code != 0 {
			t.Fatalf("fairlead helm %v: exit code %d\n%s\n%s", args, r.code, r.stderr, s.kubectl("-n", s.namespace, "get", "pods"))
		}
		t.Logf("helm %s: %s", args[0], r.took.Round(100*time.Millisecond))
	}
	helm("install", "fairlead", chart, "--set", values, "--take-ownership", "--wait", "--timeout", "90s")

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
	helm("upgrade", "fairlead", chart, "--set", values+",server.config.store.telemetry.retention=2d", "--take-ownership", "--wait", "--timeout", "90s")
	if now := s.chartToken(); now != token {
		t.Error("the upgrade has changed the token")
	}
	helm("rollback", "fairlead", "1", "--wait", "--timeout", "90s")
	if got := s.history("fairlead"); got != "1 superseded, 2 superseded, 3 deployed" {
		t.Errorf("history %s", got)
	}
	helm("uninstall", "fairlead", "--wait", "--timeout", "90s")
	if crd := s.kubectl("get", "crd", "canaryreleases.fairlead.dev", "-o", "name"); crd == "" {
		t.Error("the definitions were not kept")
	}
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
	const chart = "../../charts/fairlead"
	eachHelm(t, func(t *testing.T, s *scene) {
		s.must("lint", chart)
		for _, set := range []string{
			"clusterName=prod", "auth.insecure=true", "auth.existingSecret=mine,auth.access={ingest,read,write}", "caBundle.configMap=ca",
			"server.persistence.enabled=false,server.ingress.enabled=true,server.ingress.host=f.example.com,server.ingress.className=nginx",
			"server.enabled=false,agent.endpoint=http://otel:4318,controller.prometheus=http://prometheus:9090",
			"agent.namespaces={" + s.namespace + "},agent.storage=configmaps,controller.enabled=false", "agent.enabled=false,networkPolicy.enabled=false,crds.keep=false",
		} {
			r := s.plain("template", "fairlead", chart, "--namespace", s.namespace, "--kube-version", "1.31.0", "--set", set)
			if r.code != 0 {
				t.Errorf("--set %s: %s", set, r.stderr)
				continue
			}
			s.kubectl("apply", "--dry-run=server", "-n", s.namespace, "-f", s.file("rendered.yaml", r.stdout))
		}
		for set, want := range map[string]string{
			"auth.acess={read}": "acess", "agent.storage=etcd": "storage", "server.persistence.size=big": "size",
			"server.enabled=false,controller.enabled=false": "agent.endpoint", "server.enabled=false,agent.enabled=false": "controller.prometheus",
			"server.ingress.enabled=true": "server.ingress.host",
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
