package demo

import (
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		options    Options
		kubeconfig string
		want       string // of the error
		releases   bool
	}{
		"no cluster":          {Options{Part: PartAll, Cluster: ClusterAuto}, "", "", false},
		"KUBECONFIG":          {Options{Part: PartAll, Cluster: ClusterAuto}, "/c", "", true},
		"left alone":          {Options{Part: PartAll, Cluster: ClusterNone}, "/c", "", false},
		"canaries alone":      {Options{Part: PartCanaries, Cluster: ClusterTestbed}, "/c", "", false},
		"the test bed":        {Options{Part: PartHelm, Cluster: ClusterTestbed}, "", "", true},
		"helm without":        {Options{Part: PartHelm, Cluster: ClusterAuto}, "", "set KUBECONFIG", false},
		"unknown part":        {Options{Part: "end", Cluster: ClusterAuto}, "", `--part "end"`, false},
		"unknown cluster":     {Options{Part: PartAll, Cluster: "prod"}, "", `--cluster "prod"`, true},
		"helm, but not there": {Options{Part: PartHelm, Cluster: ClusterNone}, "/c", "--part helm", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.kubeconfig)
			err := tt.options.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if got := tt.options.hasReleases(); got != tt.releases {
				t.Errorf("the Helm half is told: %v", got)
			}
		})
	}
}

// TestRelay: from a network to another through a socket, and all is over after stop.
func TestRelay(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the test bed runs on Linux")
	}
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		c, err := server.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
		}
	}()
	socket := filepath.Join(t.TempDir(), "s")
	_, stopOut, err := relay(t.Context(), address{"unix", socket}, address{"tcp", server.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	at, stopIn, err := relay(t.Context(), address{"tcp", "127.0.0.1:0"}, address{"unix", socket})
	if err != nil {
		t.Fatal(err)
	}
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("telemetry")); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 9)
	if _, err := io.ReadFull(c, back); err != nil || string(back) != "telemetry" {
		t.Errorf("%q, %v", back, err)
	}
	stopIn()
	stopOut()
	if _, err := c.Read(back); err == nil {
		t.Error("the connection outlives the relay")
	}
}
