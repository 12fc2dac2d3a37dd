package cli

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
)

// recordServer answers from a store with one release that failed once.
func recordServer(t *testing.T) string {
	t.Helper()
	store, err := operations.Open(t.TempDir(), operations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	code := 1
	op := release.Operation{
		ID: "uid/deploy", Kind: release.KindUpgrade, State: release.StateFailed, Namespace: "shop", Release: "checkout",
		Revision: 7, ExitCode: &code, Start: time.Now().Add(-time.Minute), End: time.Now().Add(-30 * time.Second),
		ErrorType: release.ErrorNotReady, Cause: "Deployment checkout is not ready: container app exits with code 3",
		Observers: []release.Observer{release.ObserverWrapper},
	}
	rec := records.AppendEmpty()
	rec.SetEventName(release.EventName)
	for k, v := range op.Attributes() {
		if err := setAny(rec, k, v); err != nil {
			t.Fatal(err)
		}
	}
	snap := records.AppendEmpty()
	snap.SetEventName(release.EventSnapshot)
	snap.Attributes().PutStr(release.AttrID, op.ID)
	snap.Body().SetStr(`{"version":1,"workloads":[{"kind":"Deployment","name":"checkout","desired":3,"ready":1}],
	  "pods":[{"kind":"Pod","name":"checkout-1","phase":"Running","containers":[{"name":"app","state":"waiting","reason":"CrashLoopBackOff","restarts":4,
	  "last_exit":{"exit_code":3,"reason":"Error","message":"no database"}}]}],
	  "logs":[{"pod":"checkout-1","container":"app","previous":true,"lines":["connecting","no database"]}]}`)
	if _, err := store.ConsumeLogs(context.Background(), ld); err != nil {
		t.Fatal(err)
	}
	h, err := api.New(api.Stores{Operations: store})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func setAny(rec plog.LogRecord, k string, v any) error {
	return rec.Attributes().PutEmpty(k).FromRaw(v)
}

// run runs a command line and returns its streams and exit code.
func run(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = Main(context.Background(), append([]string{"fairlead"}, args...), Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

func TestReleaseCommands(t *testing.T) {
	server := recordServer(t)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"releases"}, []string{"NAMESPACE", "shop", "checkout", "failed"}},
		{[]string{"releases", "-o", "wide"}, []string{"container app exits with code 3"}},
		{[]string{"releases", "-o", "name"}, []string{"shop/checkout\n"}},
		{[]string{"releases", "-o", "json"}, []string{`"consecutiveFailures": 1`}},
		{[]string{"release", "checkout", "-n", "shop"}, []string{"shop/checkout: failed, revision 7", "1 deploys (1 failed)", "upgrade"}},
		{[]string{"release", "checkout", "-n", "shop", "--why"}, []string{
			"cause (not_ready): Deployment checkout is not ready", "Deployment checkout   1/3", "CrashLoopBackOff", "exit code 3 Error no database",
			"Log of container app of pod checkout-1, the run before:", "  no database"}},
		{[]string{"release", "checkout", "-n", "shop", "--why", "-o", "yaml"}, []string{"errorType: not_ready"}},
	} {
		stdout, stderr, code := run(append(c.args, "--server", server)...)
		if code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, stderr %q", c.args, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, stdout)
			}
		}
	}
}

func TestReleaseCommandErrorsSayWhatToDo(t *testing.T) {
	server := recordServer(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"releases", "--server", "http://127.0.0.1:1"}, "hint: start one with `fairlead server`"},
		{[]string{"releases", "--server", "nowhere"}, `server "nowhere": want a URL as http://127.0.0.1:8484`},
		{[]string{"releases", "-o", "xml", "--server", server}, `--output "xml": want one of table, wide, json, yaml, name`},
		{[]string{"release", "nothing", "-n", "shop", "--server", server}, "release shop/nothing: not found"},
		{[]string{"release", "checkout", "-n", "shop", "--revision", "9", "--server", server}, "no record of revision 9"},
	} {
		_, stderr, code := run(c.args...)
		if code != ExitError || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, stderr %q, want %q", c.args, code, stderr, c.want)
		}
	}
}
