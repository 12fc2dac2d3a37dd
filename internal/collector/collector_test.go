package collector

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestWhatTheSpecAsksFor(t *testing.T) {
	text, err := Plain(Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.0.0.0:4317", "0.0.0.0:4318", "send_batch_size: 512", "timeout: 5s", "key: deployment.environment\n", "action: upsert",
		"k8s_events", "memory_limiter", "insecure: false", "Bearer ${env:FAIRLEAD_TOKEN}"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestPermissionsAreForEventsAlone(t *testing.T) {
	for namespaces, kinds := range map[string]string{
		"":              "ServiceAccount ClusterRole ClusterRoleBinding OpenTelemetryCollector",
		"shop,payments": "ServiceAccount Role RoleBinding Role RoleBinding OpenTelemetryCollector",
	} {
		o := Default()
		if namespaces != "" {
			o.Events = strings.Split(namespaces, ",")
		}
		text, err := Resource(o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, doc := range strings.Split(string(text), "\n---\n") {
			var object struct {
				Kind  string
				Rules []struct{ Resources, Verbs []string }
			}
			if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
				t.Fatal(err)
			}
			got = append(got, object.Kind)
			for _, r := range object.Rules {
				if strings.Join(r.Resources, " ") != "events" || strings.Join(r.Verbs, " ") != "get list watch" {
					t.Errorf("rule %+v", r)
				}
			}
		}
		if strings.Join(got, " ") != kinds {
			t.Errorf("%q: %v, want %s", namespaces, got, kinds)
		}
	}
}

func TestBadOptionsNameTheFlag(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"--endpoint":              func(o *Options) { o.Endpoint = "fairlead" },
		"without TLS":             func(o *Options) { o.Endpoint = "http://fairlead" },
		"without credentials":     func(o *Options) { o.Endpoint = "https://a:b@fairlead" },
		"--ca-file and":           func(o *Options) { o.CAFile, o.Insecure = "ca.pem", true },
		"--events and":            func(o *Options) { o.Events, o.NoEvents = []string{"a"}, true },
		"--token-env \"${X}\"":    func(o *Options) { o.TokenEnv = "${X}" },
		"--name and --namespace:": func(o *Options) { o.Name = "" },
	} {
		o := Default()
		change(&o)
		if _, err := Plain(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
