package kubeapi

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/addon"
	"fairlead.dev/fairlead/test/cluster/internal/pki"
)

// client returns a client of a TLS server with this handler.
func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	authority, err := pki.NewAuthority("clients", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(pki.Subject{Name: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(server.URL, ca, pair)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestObjectPath(t *testing.T) {
	for _, tt := range []struct{ object, want string }{
		{`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"b"}}`, "/api/v1/namespaces/b/services/a"},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`, "/api/v1/namespaces/default/configmaps/a"},
		{`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}`, "/apis/apps/v1/namespaces/default/deployments/a"},
		{`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"a"}}`, "/apis/gateway.networking.k8s.io/v1/gatewayclasses/a"},
		{`{"apiVersion":"v1","kind":"Unknown","metadata":{"name":"a"}}`, ""},
		{`{"apiVersion":"v1","kind":"Service"}`, ""},
		{`{"kind":"Service","metadata":{"name":"a"}}`, ""},
	} {
		got, err := objectPath([]byte(tt.object))
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v, want %q", tt.object, got, err, tt.want)
		}
	}
}

// TestAddonsApply sends the real manifests; the server learns Gateways late,
// as an API server does after their definition was applied.
func TestAddonsApply(t *testing.T) {
	refused := 2
	var paths []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(r.URL.Path, "/gateways/") && refused > 0 {
			refused--
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodPatch || r.Header.Get("Content-Type") != "application/apply-patch+yaml" || strings.Contains(string(body), "${") {
			t.Errorf("%s %s: %s", r.Method, r.Header, body)
		}
		paths = append(paths, r.URL.Path)
	})
	for _, manifests := range [][]byte{addon.DNS(), addon.Gateway()} {
		if err := c.Apply(t.Context(), manifests); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(paths, "\n"); len(paths) != 9 || !strings.Contains(got, "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/gateway") {
		t.Errorf("applied:\n%s", got)
	}
}

func TestErrors(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/missing") {
			http.NotFound(w, r)
			return
		}
		http.Error(w, "field x is wrong", http.StatusUnprocessableEntity)
	})
	if err := c.Get(t.Context(), "/api/v1/missing", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	err := c.Apply(t.Context(), []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"))
	if err == nil || !strings.Contains(err.Error(), "field x is wrong") || !strings.Contains(err.Error(), "services/a") {
		t.Errorf("refused: %v", err)
	}
	if err := c.Apply(t.Context(), []byte("a: [")); err == nil {
		t.Error("broken YAML was applied")
	}
}
