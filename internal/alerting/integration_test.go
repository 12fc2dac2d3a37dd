//go:build integration

package alerting_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"fairlead.dev/fairlead/internal/alerting/alertmanagertest"
	"fairlead.dev/fairlead/internal/prom/promtest"
	"fairlead.dev/fairlead/internal/release"
)

// TestIntegrationAlertmanager sends a sequence of deployments to a real server,
// which tells a real Alertmanager; the server is killed in between.
func TestIntegrationAlertmanager(t *testing.T) {
	am := alertmanagertest.Start(t)
	dir := t.TempDir()
	grpc, otlp, pages := promtest.FreeAddress(t), promtest.FreeAddress(t), promtest.FreeAddress(t)
	config := filepath.Join(dir, "fairlead.yaml")
	text := fmt.Sprintf("listen: {http: %q, otlpGrpc: %q, otlpHttp: %q}\nstore: {dir: %q, minFree: 1MiB}\nalerts:\n  interval: 1s\n  receivers: [{name: pager, alertmanager: %q, repeat: 10s}]\n",
		pages, grpc, otlp, filepath.Join(dir, "data"), am.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "fairlead")
	build := exec.Command("go", "build", "-o", binary, "fairlead.dev/fairlead/cmd/fairlead")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	kill := startProcess(t, "http://"+pages+"/readyz", binary, "server", "--config", config)

	now := time.Now()
	var ops []release.Operation
	deploy := func(name string, state release.State, ago, took time.Duration) {
		n := len(ops)
		ops = append(ops, release.Operation{ID: fmt.Sprintf("uid%d/deploy", n), TraceID: fmt.Sprintf("%032x", n+1), SpanID: fmt.Sprintf("%016x", n+1),
			Kind: release.KindUpgrade, Command: "upgrade", State: state, Cluster: "prod", Namespace: "shop", Release: name, Revision: n + 1,
			Start: now.Add(-ago - took), End: now.Add(-ago), Observers: []release.Observer{release.ObserverWrapper}})
		if state == release.StateFailed {
			ops[n].Cause = "container app keeps crashing"
		}
	}
	for i := range 20 {
		deploy("checkout", release.StateSucceeded, time.Duration(i+2)*time.Hour, 10*time.Second)
	}
	deploy("checkout", release.StateSucceeded, time.Minute, time.Minute)
	for i := range 4 {
		deploy("cart", release.StateFailed, time.Duration(10-i)*time.Minute, 30*time.Second)
	}
	for i := range 2 {
		deploy("cart", release.StateSucceeded, time.Duration(9-i)*time.Minute, time.Second)
		r := &ops[len(ops)-1]
		r.ID, r.Kind, r.Command, r.RollbackTo = strings.Replace(r.ID, "deploy", "rollback", 1), release.KindRollback, "rollback", 1
	}
	sendOperations(t, "http://"+otlp, ops)

	am.Await(time.Minute, "HelmDeploymentSlow", "HelmDeploymentsFailing", "HelmRollbackRateHigh")
	for _, a := range am.Active() {
		if a.Labels["helm_namespace"] != "shop" || a.Labels["k8s_cluster_name"] != "prod" || !strings.Contains(a.Annotations["runbook_url"], "#helm") {
			t.Errorf("alert %v %v", a.Labels, a.Annotations)
		}
		if a.Labels["alertname"] == "HelmDeploymentsFailing" && a.Annotations["cause"] != "container app keeps crashing" {
			t.Errorf("cause: %v", a.Annotations)
		}
	}

	kill(syscall.SIGKILL)
	startProcess(t, "http://"+pages+"/readyz", binary, "server", "--config", config)
	ops = nil
	deploy("cart", release.StateSucceeded, 0, time.Second)
	ops[0].ID, ops[0].TraceID = "after/deploy", strings.Repeat("e", 32)
	sendOperations(t, "http://"+otlp, ops)
	am.Await(time.Minute, "HelmDeploymentSlow", "HelmRollbackRateHigh")
}

func sendOperations(t *testing.T, url string, ops []release.Operation) {
	t.Helper()
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, op := range ops {
		r := records.AppendEmpty()
		r.SetEventName(release.EventName)
		for k, v := range op.Attributes() {
			if err := r.Attributes().PutEmpty(k).FromRaw(v); err != nil {
				t.Fatal(err)
			}
		}
	}
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/v1/logs", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("OTLP: %s %s", resp.Status, answer)
	}
}

// startProcess starts a program, waits until ready answers 200, and ends it with
// the test. The function that it returns ends it by a signal and waits.
func startProcess(t *testing.T, ready, binary string, args ...string) (end func(syscall.Signal)) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), binary, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	end = func(s syscall.Signal) {
		_ = cmd.Process.Signal(s)
		<-done
	}
	t.Cleanup(func() {
		end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(binary), log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return end
			}
		}
	}
	t.Fatalf("%s is not ready after a minute:\n%s", filepath.Base(binary), log.String())
	return nil
}
