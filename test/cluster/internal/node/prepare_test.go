//go:build linux

package node

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPrepare(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "state"), Cgroup: "group", CNIDir: "/cni", Snapshotter: "native", Images: []string{"/images"}}
	if err := Prepare(c, time.Now()); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadConfig(c.Dir)
	if err != nil || loaded.Cgroup != c.Cgroup || loaded.Images[0] != "/images" {
		t.Errorf("LoadConfig: %+v, %v", loaded, err)
	}
	var kubelet struct {
		CgroupRoot string
		MaxPods    int
	}
	b, err := os.ReadFile(c.path("kubelet.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &kubelet); err != nil || kubelet.CgroupRoot != "/group" || kubelet.MaxPods != maxPods {
		t.Errorf("kubelet: %+v, %v", kubelet, err)
	}
	toml, err := os.ReadFile(c.path("containerd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`bin_dir = "/cni"`, `snapshotter = "native"`, `config_path = "` + c.path("certs.d") + `"`, `sandbox_image = "fairlead.test/pause:1"`} {
		if !strings.Contains(string(toml), want) {
			t.Errorf("containerd.toml lacks %s", want)
		}
	}
	// Nobody else on the machine may read a key.
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		secret := strings.Contains(string(content), "PRIVATE KEY") || strings.Contains(string(content), "client-key-data")
		if secret && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryFileOfTheArgumentsExists starts nothing, but a component whose
// argument names a file that Prepare does not write could not start either.
func TestEveryFileOfTheArgumentsExists(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "state"), Components: "/bin", Audit: true}
	if err := Prepare(c, time.Now()); err != nil {
		t.Fatal(err)
	}
	all, err := components(c)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	made := map[string]bool{"--data-dir": true, "--audit-log-path": true} // by the component
	checked := 0
	for _, component := range all {
		for _, arg := range component.args {
			flag, value, _ := strings.Cut(arg, "=")
			if !strings.HasPrefix(value, c.Dir) || made[flag] {
				continue
			}
			checked++
			if _, err := os.Stat(value); err != nil {
				t.Errorf("%s %s: %v", component.name, arg, err)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d files checked", checked)
	}
}
