//go:build integration

package collector_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/collector"
)

// TestIntegrationValidate lets a real Collector check what is made.
func TestIntegrationValidate(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "fairlead", "tools", "collector-v0.111.0-objects")
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("SKIPPED: no %s; `make collector` builds it", binary)
	}
	t.Setenv("FAIRLEAD_TOKEN", "0123456789abcdef")
	base := collector.Default()
	for name, change := range map[string]func(*collector.Options){
		"as committed":   func(*collector.Options) {},
		"over HTTP":      func(o *collector.Options) { o.Endpoint = "https://otlp.example.com" },
		"without TLS":    func(o *collector.Options) { o.Endpoint, o.Insecure = "fairlead:4317", true },
		"without events": func(o *collector.Options) { o.NoEvents = true },
		"two namespaces": func(o *collector.Options) { o.Events = []string{"shop", "payments"} },
		"nothing to set": func(o *collector.Options) { o.Environment, o.TokenEnv = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			o := base
			change(&o)
			text, err := collector.Plain(o)
			if err != nil {
				t.Fatal(err)
			}
			validate(t, binary, text)
			resource, err := collector.Resource(o)
			if err != nil {
				t.Fatal(err)
			}
			validate(t, binary, configOf(t, resource))
		})
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("receivers: {nonsense: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exec.Command(binary, "validate", "--config", bad).Run() == nil {
		t.Error("the Collector takes anything")
	}
}

func validate(t *testing.T, binary string, text []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "validate", "--config", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, text)
	}
}

// configOf returns the configuration in the OpenTelemetryCollector of a manifest.
func configOf(t *testing.T, manifest []byte) []byte {
	t.Helper()
	docs := strings.Split(string(manifest), "\n---\n")
	var resource struct {
		Kind string
		Spec struct{ Config any }
	}
	if err := yaml.Unmarshal([]byte(docs[len(docs)-1]), &resource); err != nil || resource.Kind != "OpenTelemetryCollector" {
		t.Fatalf("%v: %s", err, manifest)
	}
	text, err := yaml.Marshal(resource.Spec.Config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
