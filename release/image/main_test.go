package main

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func program(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fairlead")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// check reads an image back: its file system is the program and nothing else.
func check(t *testing.T, img v1.Image, arch, content string) {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Architecture != arch || file.OS != "linux" || file.Config.User != user || strings.Join(file.Config.Entrypoint, " ") != "/usr/local/bin/fairlead" {
		t.Errorf("configuration %+v", file)
	}
	files := mutate.Extract(img)
	defer files.Close()
	all, err := io.ReadAll(files)
	if err != nil || !strings.Contains(string(all), content) {
		t.Errorf("%d bytes without the program, %v", len(all), err)
	}
}

func TestArchive(t *testing.T) {
	out := filepath.Join(t.TempDir(), "image.tar")
	if err := run([]string{"-tag", "example.com/fairlead:1", "-o", out, "linux/arm64=" + program(t, "the program")}, io.Discard); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/fairlead:1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(out, &tag)
	if err != nil {
		t.Fatal(err)
	}
	check(t, img, "arm64", "the program")
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	tag := strings.TrimPrefix(server.URL, "http://") + "/fairlead:1"
	args := []string{"-tag", tag, "-push", "linux/amd64=" + program(t, "for amd64"), "linux/arm64=" + program(t, "for arm64")}
	if err := run(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(tag)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := remote.Image(reference, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		check(t, img, arch, "for "+arch)
	}
}

func TestRefusals(t *testing.T) {
	path := program(t, "x")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "x.tar", "linux/amd64=" + path}, "-tag"},
		{[]string{"-tag", "a:1", "-o", "x.tar"}, "no binary"},
		{[]string{"-tag", "a:1", "-o", "x.tar", path}, "want OS/ARCH=PATH"},
		{[]string{"-tag", "a:1", "linux/amd64=" + path}, "-push"},
		{[]string{"-tag", "a:1", "-o", "x.tar", "linux/amd64=" + path, "linux/arm64=" + path}, "one platform"},
		{[]string{"-tag", "A:1", "-o", "x.tar", "linux/amd64=" + path}, "-tag"},
		{[]string{"-tag", "a:1", "-o", "x.tar", "linux/amd64=/nowhere"}, "/nowhere"},
	} {
		if err := run(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}
