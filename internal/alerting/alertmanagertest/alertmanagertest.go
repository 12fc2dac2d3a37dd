// Package alertmanagertest gives tests a real Alertmanager: the one that `make
// alertmanager` builds into the user's cache, started per test on a free port of
// 127.0.0.1.
package alertmanagertest

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// version is the one of the Makefile.
const version = "v0.34.0"

// Alertmanager is one that runs until the test ends.
type Alertmanager struct {
	URL string
	t   testing.TB
}

// Alert is one that the Alertmanager holds as active.
type Alert struct {
	Labels, Annotations map[string]string
}

// Name is the alert's name.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Start starts an Alertmanager. Without the binary the test is skipped.
func Start(t testing.TB) Alertmanager {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "fairlead", "tools", "alertmanager-"+version)
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("SKIPPED: no %s; `make alertmanager` builds it", binary)
	}
	config := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.CommandContext(context.Background(), binary, "--config.file="+config, "--storage.path="+t.TempDir(),
		"--web.listen-address="+address, "--cluster.listen-address=", "--log.level=warn") // ended by the cleanup
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("alertmanager:\n%s", log.String())
		}
	})
	a := Alertmanager{URL: "http://" + address, t: t}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if resp, err := a.get("/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return a
			}
		}
	}
	t.Fatal("the Alertmanager is not ready after a minute")
	return a
}

func (a Alertmanager) get(path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, a.URL+path, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// Active returns the alerts that fire.
func (a Alertmanager) Active() (out []Alert) {
	a.t.Helper()
	resp, err := a.get("/api/v2/alerts")
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// Await waits until alerts of these names fire and no others; each name stands
// as often as there are alerts of it.
func (a Alertmanager) Await(most time.Duration, want ...string) {
	a.t.Helper()
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		got = nil
		for _, one := range a.Active() {
			got = append(got, one.Name())
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
	}
	a.t.Fatalf("the Alertmanager has %v, want %v", got, want)
}
