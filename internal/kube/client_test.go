package kube

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func kubeconfig(t *testing.T, name, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	text := "apiVersion: v1\nkind: Config\ncurrent-context: " + name + "\ncontexts: [{name: " + name + ", context: {cluster: " + name + ", user: " + name + ", namespace: " + namespace + "}}]\n" +
		"clusters: [{name: " + name + ", cluster: {server: \"https://" + name + ".test:6443\"}}]\nusers: [{name: " + name + ", user: {token: t}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNewClientReadsTheConfigurationAsHelmDoes(t *testing.T) {
	one, two := kubeconfig(t, "one", "shop"), kubeconfig(t, "two", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i+1 < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	list := one + string(filepath.ListSeparator) + two
	cases := []struct {
		name                     string
		opts                     ClientOptions
		host, namespace, cluster string
	}{
		{"a path", ClientOptions{Kubeconfig: one, Getenv: env()}, "https://one.test:6443", "shop", ""},
		{"a list, another context", ClientOptions{Kubeconfig: list, Context: "two", Getenv: env()}, "https://two.test:6443", "default", ""},
		{"KUBECONFIG, with a file that is not there", ClientOptions{Getenv: env("KUBECONFIG", "/none"+string(filepath.ListSeparator)+one)}, "https://one.test:6443", "shop", ""},
		{"the flag wins over KUBECONFIG", ClientOptions{Kubeconfig: two, Getenv: env("KUBECONFIG", one)}, "https://two.test:6443", "default", ""},
		{"namespace and server by flags", ClientOptions{Kubeconfig: one, Namespace: "ops", APIServer: "https://other.test", Getenv: env()}, "https://other.test", "ops", ""},
		{"a name for the cluster", ClientOptions{Kubeconfig: one, Getenv: env("FAIRLEAD_CLUSTER_NAME", "prod", "OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=x")}, "https://one.test:6443", "shop", "prod"},
		{"a name among the resource's attributes", ClientOptions{Kubeconfig: one, Getenv: env("OTEL_RESOURCE_ATTRIBUTES", "a=b, k8s.cluster.name=staging")}, "https://one.test:6443", "shop", "staging"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := NewClient(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got.Config().Host != c.host || got.ContextNamespace() != c.namespace || got.ClusterName() != c.cluster {
				t.Errorf("%s, %s, %q", got.Config().Host, got.ContextNamespace(), got.ClusterName())
			}
			if n := got.Requests().Total(); n != 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
	over, err := NewClient(ClientOptions{Kubeconfig: one, Token: "mine", AsUser: "jane", AsGroups: []string{"devs"}, Insecure: true, TLSServerName: "n", Getenv: env()})
	if err != nil {
		t.Fatal(err)
	}
	if c := over.Config(); c.BearerToken != "mine" || c.Impersonate.UserName != "jane" || c.Impersonate.Groups[0] != "devs" || !c.Insecure || c.ServerName != "n" {
		t.Errorf("got %+v", c)
	}
}

func TestNewClientSaysWhatIsWrong(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, kubeconfig, context, want string }{
		{"no such file", "/no/such/file", "", "/no/such/file"},
		{"not a kubeconfig", broken, "", broken},
		{"no such context", kubeconfig(t, "one", ""), "other", `context "other" does not exist`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewClient(ClientOptions{Kubeconfig: c.kubeconfig, Context: c.context, Getenv: func(string) string { return "" }})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestRequestsAreCountedByWhatTheyDo(t *testing.T) {
	cases := []struct {
		method, url string
		of          func(*counter) int64
	}{
		{"GET", "/api/v1/namespaces/shop/pods?watch=true&sendInitialEvents=true", func(c *counter) int64 { return c.watch.Load() }},
		{"GET", "/apis/apps/v1/deployments?watch=1", func(c *counter) int64 { return c.watch.Load() }},
		{"GET", "/api/v1/namespaces/shop/pods?limit=500", func(c *counter) int64 { return c.list.Load() }},
		{"GET", "/apis/apps/v1/deployments", func(c *counter) int64 { return c.list.Load() }},
		{"GET", "/api/v1/namespaces", func(c *counter) int64 { return c.list.Load() }},
		{"GET", "/api/v1/namespaces/shop", func(c *counter) int64 { return c.get.Load() }},
		{"GET", "/api/v1/namespaces/shop/secrets/x", func(c *counter) int64 { return c.get.Load() }},
		{"GET", "/api/v1/namespaces/shop/pods/web/log?container=app", func(c *counter) int64 { return c.log.Load() }},
		{"GET", "/prefix/api/v1/namespaces/shop/pods/web/log", func(c *counter) int64 { return c.log.Load() }},
		{"PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/x", func(c *counter) int64 { return c.write.Load() }},
	}
	for _, x := range cases {
		var c counter
		r, err := http.NewRequest(x.method, "https://cluster.test"+x.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.of(r).Add(1)
		if x.of(&c) != 1 {
			t.Errorf("%s %s: %+v", x.method, x.url, &c)
		}
	}
}
