//go:build integration

package recipes

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestIntegrationManyClusters: two clusters' pipelines send to one server with
// the configuration of the page, TLS and tokens included. Helm reaches no
// cluster here, which is a record like any other.
func TestIntegrationManyClusters(t *testing.T) {
	bin := tools(t)
	if missing := missingTool(bin, "helm "); missing != "" {
		t.Skip("SKIPPED: there is no helm here")
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "recipes", "many-clusters.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "<<'YAML'\n")
	text, _, found := strings.Cut(text, "\nYAML\n")
	if !found {
		t.Fatal("the page has no configuration")
	}
	dir := t.TempDir()
	certificate(t, dir)
	at := map[string]string{}
	for _, port := range []string{"8484", "4317", "4318"} {
		at[port] = freeAddress(t)
		text = strings.ReplaceAll(text, "0.0.0.0:"+port, at[port])
	}
	if err := os.WriteFile(filepath.Join(dir, "fairlead.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := []string{"TOKEN_EU=0123456789abcdef", "TOKEN_US=123456789abcdef0", "TOKEN_PEOPLE=23456789abcdef01"}
	fairlead := func(env []string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "fairlead"), args...)
		cmd.Dir = dir
		cmd.Env = append(env, "PATH="+bin, "HOME="+dir, "SSL_CERT_FILE="+filepath.Join(dir, "server.pem"), "FAIRLEAD_SERVER=https://"+at["8484"])
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	server := exec.CommandContext(t.Context(), filepath.Join(bin, "fairlead"), "server", "--config", "fairlead.yaml", "--data", "data")
	server.Dir, server.Env = dir, append([]string{"HOME=" + dir}, tokens...)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	people := []string{"FAIRLEAD_TOKEN=23456789abcdef01"}
	eventually(t, "the server answers", func() (string, bool) {
		out, err := fairlead(people, "releases")
		return out, err == nil
	})
	for cluster, token := range map[string]string{"eu-1": "0123456789abcdef", "us-1": "123456789abcdef0"} {
		out, err := fairlead([]string{
			"FAIRLEAD_CLUSTER_NAME=" + cluster, "OTEL_EXPORTER_OTLP_ENDPOINT=https://" + at["4318"], "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + token, "KUBECONFIG=/dev/null",
		}, "helm", "upgrade", "--install", "web-"+cluster, "./chart", "--kube-apiserver", "http://127.0.0.1:1")
		if err == nil || !strings.Contains(out, "unreachable") || strings.Contains(out, "not delivered") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	eventually(t, "both are listed", func() (string, bool) {
		out, err := fairlead(people, "releases")
		return out, err == nil && strings.Contains(out, "web-eu-1") && strings.Contains(out, "web-us-1")
	})
	if out, err := fairlead(people, "releases", "--cluster", "eu-1"); err != nil || !strings.Contains(out, "web-eu-1") || strings.Contains(out, "web-us-1") {
		t.Errorf("--cluster eu-1: %v\n%s", err, out)
	}
	if out, err := fairlead([]string{"FAIRLEAD_TOKEN=0123456789abcdef"}, "releases"); err == nil || !strings.Contains(out, "does not allow this") {
		t.Errorf("a token that may only send reads: %v\n%s", err, out)
	}
}

func eventually(t *testing.T, what string, done func() (string, bool)) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		last, ok := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not so after a minute: %s\n%s", what, last)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate writes server.pem and server.key for 127.0.0.1 into dir.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"server.pem": {Type: "CERTIFICATE", Bytes: cert}, "server.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
