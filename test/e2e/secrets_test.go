//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsStayHome puts canaries in every place that a secret can come from
// and searches every exported byte, the trace file and our own lines for them.
func TestSecretsStayHome(t *testing.T) {
	eachHelm(t, func(t *testing.T, s *scene) {
		canary := func(n int) string { return fmt.Sprintf("Canary%dxQ7wVn3Kd", n) }
		where := []string{"--set", "--set-string", "--set-json", "--set-file", "a values file", "--password", "the environment", "a chart's Secret",
			"a URL's userinfo", "the OTLP headers", "a log line that equals a --set value", "a termination message that equals a --set value",
			"--set-literal", "--kube-token", "--username", "--registry password variable"}

		// The chart of the test bed, and a Secret in it.
		dir := filepath.Join(t.TempDir(), "app")
		if err := os.CopyFS(dir, os.DirFS(appChart)); err != nil {
			t.Fatal(err)
		}
		secret := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-secret\nstringData:\n  token: " + canary(7) + "\n"
		if err := os.WriteFile(filepath.Join(dir, "templates", "secret.yaml"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		s.must("install", "web", dir, "--wait")
		s.env = append(s.env, "DB_PASSWORD="+canary(6), "HELM_REGISTRY_PASSWORD="+canary(15),
			"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+canary(9),
			"OTEL_EXPORTER_OTLP_ENDPOINT="+strings.Replace(s.collector.URL, "http://", "http://user:"+canary(8)+"@", 1))
		trace := filepath.Join(t.TempDir(), "trace.json")
		r := s.fairlead("--trace-out", trace, "--print-trace", "--progress", "plain", "--auto-rollback", "helm", "upgrade", "web", dir,
			"--wait", "--timeout", "10s",
			"--set", "labels.a="+canary(0)+",env.CRASH_AFTER=0s,env.CRASH_MESSAGE="+canary(10),
			"--set-string", "podAnnotations.b="+canary(1), "--set-json", `podAnnotations.c="`+canary(2)+`"`,
			"--set-file", "podAnnotations.d="+s.file("secret.txt", canary(3)), "--set-literal", "podAnnotations.e="+canary(12),
			"--values", s.file("values.yaml", "configMap: {enabled: true, data: {e: "+canary(4)+"}}"),
			"--password", canary(5), "--username", canary(14))
		if r.code != 1 {
			t.Fatalf("exit code %d, want the failure that has a story\n%s", r.code, r.stderr)
		}
		s.collector.trace(t).one("helm-rollback")
		file, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		exported := s.collector.bytes()
		if !bytes.Contains(exported, []byte("keeps crashing")) && !bytes.Contains(exported, []byte("crashed")) {
			t.Errorf("the story itself is missing")
		}
		_, ours, _ := strings.Cut(r.stderr, "fairlead: upgrade of")
		for n, place := range where {
			for what, text := range map[string][]byte{"telemetry": exported, "the trace file": file, "our lines on stderr": []byte(ours)} {
				for _, form := range []string{canary(n), base64.StdEncoding.EncodeToString([]byte(canary(n)))} {
					if bytes.Contains(text, []byte(form)) {
						i := bytes.Index(text, []byte(form))
						t.Errorf("the secret from %s is in %s: ...%q...", place, what, text[max(0, i-120):min(len(text), i+60)])
					}
				}
			}
		}
	})
}
