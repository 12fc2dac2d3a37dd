package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
)

// The media types of the OCI image specification that the test bed writes.
const (
	TypeManifest = "application/vnd.oci.image.manifest.v1+json"
	TypeConfig   = "application/vnd.oci.image.config.v1+json"
	TypeLayer    = "application/vnd.oci.image.layer.v1.tar"
	TypeIndex    = "application/vnd.oci.image.index.v1+json"
)

// Spec is what an image holds.
type Spec struct {
	Binary string   // path of a static binary on this machine
	Env    []string // "NAME=value"
}

// entrypoint is the directory of the binary inside an image.
const entrypointDir = "/usr/local/bin"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type configuration struct {
	platform
	Config runConfig `json:"config"`
	RootFS rootFS    `json:"rootfs"`
}

type runConfig struct {
	Entrypoint []string `json:"Entrypoint"`
	Env        []string `json:"Env,omitempty"`
	WorkingDir string   `json:"WorkingDir"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write makes an image and tags it; an existing tag moves. name is the
// binary's name inside the image, where it is the entrypoint and in the PATH.
// The same binary, name and environment give the same digest. A directory /tmp
// that everybody may write is the only other content.
func (s Store) Write(r Reference, name string, spec Spec) error {
	layer, err := s.put(func(w io.Writer) error { return writeLayer(w, name, spec.Binary) })
	if err != nil {
		return fmt.Errorf("image %s: layer of %s: %w", r, spec.Binary, err)
	}
	here := platform{Architecture: runtime.GOARCH, OS: "linux"}
	config, err := s.putJSON(configuration{
		platform: here,
		Config: runConfig{
			Entrypoint: []string{path.Join(entrypointDir, name)},
			Env:        slices.Concat([]string{"PATH=" + entrypointDir}, spec.Env),
			WorkingDir: "/",
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{layer.Digest}},
	})
	if err != nil {
		return fmt.Errorf("image %s: configuration: %w", r, err)
	}
	m, err := s.putJSON(manifest{
		SchemaVersion: 2,
		MediaType:     TypeManifest,
		Config:        descriptor{MediaType: TypeConfig, Digest: config.Digest, Size: config.Size},
		Layers:        []descriptor{{MediaType: TypeLayer, Digest: layer.Digest, Size: layer.Size}},
	})
	if err != nil {
		return fmt.Errorf("image %s: manifest: %w", r, err)
	}
	return s.tag(r, m.Digest)
}

func (s Store) putJSON(v any) (Blob, error) {
	return s.put(func(w io.Writer) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

// writeLayer writes a tar without times or owners, so that equal binaries
// make equal layers.
func writeLayer(w io.Writer, name, binary string) error {
	f, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	t := tar.NewWriter(w)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "usr/local/", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "usr/local/bin/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: path.Join(entrypointDir, name)[1:], Mode: 0o755, Size: info.Size()},
	} {
		if err := t.WriteHeader(h); err != nil {
			return err
		}
	}
	if _, err := io.Copy(t, f); err != nil {
		return err
	}
	return t.Close()
}
