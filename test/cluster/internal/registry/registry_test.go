package registry

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/image"
)

// serve returns a registry of two stores; only the second has app:v1.
func serve(t *testing.T) *Registry {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(binary, []byte("static"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := image.Store(t.TempDir())
	if err := store.Write(image.Reference{Repository: "app", Tag: "v1"}, "app", image.Spec{Binary: binary}); err != nil {
		t.Fatal(err)
	}
	return New(image.Store(t.TempDir()), store)
}

func request(g *Registry, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestPull(t *testing.T) {
	g := serve(t)
	head := request(g, http.MethodHead, "/v2/app/manifests/v1?ns=fairlead.test")
	digest := head.Header().Get("Docker-Content-Digest")
	if head.Code != http.StatusOK || digest == "" || head.Body.Len() != 0 || head.Header().Get("Content-Type") != image.TypeManifest {
		t.Fatalf("HEAD: %d %v", head.Code, head.Header())
	}
	get := request(g, http.MethodGet, "/v2/app/manifests/"+digest)
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct {
			Digest string
			Size   int
		}
	}
	if err := json.Unmarshal(get.Body.Bytes(), &manifest); err != nil || len(manifest.Layers) != 1 {
		t.Fatalf("manifest by digest: %d, %v, %s", get.Code, err, get.Body)
	}
	for _, d := range []string{manifest.Config.Digest, manifest.Layers[0].Digest} {
		if blob := request(g, http.MethodGet, "/v2/app/blobs/"+d); blob.Code != http.StatusOK {
			t.Errorf("blob %s: %d", d, blob.Code)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/app/blobs/"+manifest.Layers[0].Digest, nil)
	r.Header.Set("Range", "bytes=10-19")
	part := httptest.NewRecorder()
	g.ServeHTTP(part, r)
	if body, _ := io.ReadAll(part.Body); part.Code != http.StatusPartialContent || len(body) != 10 {
		t.Errorf("range: %d, %d bytes", part.Code, len(body))
	}
}

func TestRefusals(t *testing.T) {
	g := serve(t)
	for _, tt := range []struct {
		method, path string
		status       int
		code         string
	}{
		{http.MethodGet, "/v2/app/manifests/v9", http.StatusNotFound, "MANIFEST_UNKNOWN"},
		{http.MethodGet, "/v2/nope/manifests/v1", http.StatusNotFound, "MANIFEST_UNKNOWN"},
		{http.MethodGet, "/v2/../../etc/manifests/passwd", http.StatusNotFound, "MANIFEST_UNKNOWN"},
		{http.MethodGet, "/v2/app/blobs/sha256:00", http.StatusNotFound, "BLOB_UNKNOWN"},
		{http.MethodGet, "/v2/denied/app/manifests/v1", http.StatusUnauthorized, "UNAUTHORIZED"},
		{http.MethodGet, "/v2/broken/app/manifests/v1", http.StatusInternalServerError, "UNKNOWN"},
		{http.MethodGet, "/v2/app/tags/list", http.StatusNotFound, "NAME_UNKNOWN"},
		{http.MethodPut, "/v2/app/manifests/v1", http.StatusMethodNotAllowed, "UNSUPPORTED"},
	} {
		w := request(g, tt.method, tt.path)
		var body struct{ Errors []struct{ Code string } }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
			t.Errorf("%s: %v: %s", tt.path, err, w.Body)
			continue
		}
		if w.Code != tt.status || body.Errors[0].Code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", tt.path, w.Code, body.Errors[0].Code, tt.status, tt.code)
		}
	}
	if w := request(g, http.MethodGet, "/v2/"); w.Code != http.StatusOK {
		t.Errorf("/v2/: %d", w.Code)
	}
}

func TestSlowPullsTakeTheTimeTheirNameSays(t *testing.T) {
	g := serve(t)
	synctest.Test(t, func(t *testing.T) {
		for path, want := range map[string]time.Duration{
			"/v2/slow-3s/app/manifests/v1":  3 * time.Second,
			"/v2/slow-24h/app/manifests/v1": maxDelay,
			"/v2/app/manifests/v1":          0,
		} {
			started := time.Now()
			if w := request(g, http.MethodHead, path); w.Code != http.StatusOK {
				t.Errorf("%s: %d", path, w.Code)
			}
			if took := time.Since(started); took != want {
				t.Errorf("%s took %s, want %s", path, took, want)
			}
		}
		// The delay is once a pull.
		started := time.Now()
		request(g, http.MethodGet, "/v2/slow-3s/app/manifests/v1")
		if took := time.Since(started); took != 0 {
			t.Errorf("GET took %s", took)
		}
	})
}
