package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestParseReference(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want "" for an error
	}{
		{"app:v1", "fairlead.test/app:v1"},
		{"fairlead.test/app:v1", "fairlead.test/app:v1"},
		{"app", "fairlead.test/app:latest"},
		{"team/app:1.2-rc_3", "fairlead.test/team/app:1.2-rc_3"},
		{"docker.io/app:v1", ""},
		{"App:v1", ""},
		{"app:", ""},
		{"app:v 1", ""},
		{"../app:v1", ""},
		{"app:../v1", ""},
		{"", ""},
	} {
		r, err := ParseReference(tt.in)
		if (err != nil) != (tt.want == "") || (err == nil && r.String() != tt.want) {
			t.Errorf("ParseReference(%q) = %v, %v, want %q", tt.in, r, err, tt.want)
		}
	}
}

// write makes an image of a file with this content.
func write(t *testing.T, s Store, reference, content string, env ...string) Reference {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(binary, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(r, "app", Spec{Binary: binary, Env: env}); err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, s Store, digest string) []byte {
	t.Helper()
	f, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		t.Errorf("content of %s has another digest", digest)
	}
	return b
}

func TestWrittenImageIsWhole(t *testing.T) {
	s := Store(t.TempDir())
	r := write(t, s, "app:v1", "static", "VERSION=v1")
	digest, err := s.Resolve(r)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(read(t, s, digest), &m); err != nil {
		t.Fatal(err)
	}
	var c configuration
	if err := json.Unmarshal(read(t, s, m.Config.Digest), &c); err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) != 1 || len(c.RootFS.DiffIDs) != 1 || c.RootFS.DiffIDs[0] != m.Layers[0].Digest {
		t.Fatalf("layers %v, diff ids %v: want one and the same", m.Layers, c.RootFS.DiffIDs)
	}
	if c.OS != "linux" || c.Config.Entrypoint[0] != "/usr/local/bin/app" || c.Config.Env[1] != "VERSION=v1" {
		t.Errorf("configuration %+v", c)
	}
	layer := read(t, s, m.Layers[0].Digest)
	if int64(len(layer)) != m.Layers[0].Size {
		t.Errorf("layer has %d bytes, the manifest says %d", len(layer), m.Layers[0].Size)
	}
	files := contents(t, bytes.NewReader(layer))
	if files["usr/local/bin/app"] != "static" {
		t.Errorf("layer holds %v", files)
	}
	if _, ok := files["tmp/"]; !ok {
		t.Error("layer has no /tmp")
	}
}

// contents reads a tar: name to content.
func contents(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(b)
	}
}

func TestEqualContentEqualDigest(t *testing.T) {
	a, b := Store(t.TempDir()), Store(t.TempDir())
	resolve := func(s Store, r Reference) string {
		t.Helper()
		digest, err := s.Resolve(r)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	first := resolve(a, write(t, a, "app:v1", "same"))
	if got := resolve(b, write(t, b, "other:v2", "same")); got != first {
		t.Errorf("equal content: %s and %s", first, got)
	}
	if got := resolve(a, write(t, a, "app:v1", "new")); got == first {
		t.Error("the tag did not move to the new content")
	}
}

func TestMissing(t *testing.T) {
	s := Store(t.TempDir())
	if _, err := s.Resolve(Reference{"app", "v1"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Resolve: %v", err)
	}
	for _, digest := range []string{"sha256:" + hex.EncodeToString(make([]byte, 32)), "sha256:../../x", "md5:1", ""} {
		if _, err := s.Open(digest); !errors.Is(err, ErrNotFound) {
			t.Errorf("Open(%q): %v", digest, err)
		}
	}
	if err := s.Write(Reference{"app", "v1"}, "app", Spec{Binary: t.TempDir()}); err == nil {
		t.Error("an image of a directory was made")
	}
}

func TestWriteTar(t *testing.T) {
	s := Store(t.TempDir())
	r := write(t, s, "app:v1", "static")
	var archive bytes.Buffer
	if err := s.WriteTar(&archive, r); err != nil {
		t.Fatal(err)
	}
	files := contents(t, &archive)
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	digest, err := s.Resolve(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != digest ||
		index.Manifests[0].Annotations["io.containerd.image.name"] != "fairlead.test/app:v1" {
		t.Errorf("index %+v", index)
	}
	// Manifest, configuration, layer, index, oci-layout.
	if len(files) != 5 || int64(len(files["blobs/sha256/"+digest[7:]])) != index.Manifests[0].Size {
		t.Errorf("the archive has %d files, want 5", len(files))
	}
	if err := s.WriteTar(io.Discard, Reference{"app", "v2"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing image: %v", err)
	}
}
