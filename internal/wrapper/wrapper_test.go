package wrapper

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func plainText(s string) string { return s }

// labels and body are the two sightings of one record.
func labels(revision int, status, uid string) release.Record {
	return release.Record{Ref: release.Ref{Namespace: "shop", Name: "web"}, Revision: revision, Status: status, UID: uid}
}

func body(r release.Record, at time.Time) release.Record {
	r.LastDeployed, r.Chart, r.Version = at, "app", "1.0.0"
	return r
}

func see(t *tracker, initial bool, r release.Record) {
	t.observe(release.Observation{At: start.Add(time.Second), Initial: initial, Record: &r})
}

func TestTrackerTellsOursFromTheirs(t *testing.T) {
	old := start.Add(-time.Hour)
	cases := []struct {
		reason   string
		see      func(t *tracker)
		own      int
		deployed int
	}{
		{"an upgrade", func(t *tracker) {
			see(t, true, labels(1, "superseded", "a"))
			see(t, true, labels(2, "deployed", "b"))
			see(t, false, body(labels(2, "deployed", "b"), old))
			see(t, false, labels(3, "pending-upgrade", "c"))
			see(t, false, body(labels(3, "pending-upgrade", "c"), start.Add(time.Second)))
			see(t, false, body(labels(2, "superseded", "b"), old))
		}, 3, 2},
		{"the list came after Helm had begun", func(t *tracker) {
			see(t, true, labels(2, "deployed", "b"))
			see(t, true, labels(3, "pending-upgrade", "c"))
			see(t, false, body(labels(3, "pending-upgrade", "c"), start.Add(time.Millisecond)))
		}, 3, 2},
		{"the list came after Helm had ended", func(t *tracker) {
			see(t, true, labels(2, "superseded", "b"))
			see(t, true, labels(3, "deployed", "c"))
			see(t, false, body(labels(3, "deployed", "c"), start.Add(time.Millisecond)))
		}, 3, 2},
		{"nothing of ours: the rewrite of an old record is no operation", func(t *tracker) {
			see(t, true, labels(2, "deployed", "b"))
			see(t, false, body(labels(2, "deployed", "b"), old))
		}, 0, 2},
		{"somebody else's operation, begun before ours", func(t *tracker) {
			see(t, true, labels(1, "deployed", "a"))
			see(t, true, labels(2, "pending-upgrade", "b"))
			see(t, false, body(labels(2, "pending-upgrade", "b"), old))
		}, 0, 1},
		{"a first install", func(t *tracker) { see(t, false, body(labels(1, "pending-install", "a"), start)) }, 1, 0},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			tr := newTracker("web", start, nil)
			c.see(tr)
			r, _ := tr.own()
			if r.Revision != c.own || tr.deployedBefore() != c.deployed {
				t.Errorf("own %d, deployed before %d; want %d, %d", r.Revision, tr.deployedBefore(), c.own, c.deployed)
			}
		})
	}
}

func TestTrackerFindsHelmsOwnRollback(t *testing.T) {
	tr := newTracker("web", start, nil)
	see(tr, true, labels(1, "deployed", "a"))
	see(tr, false, body(labels(2, "failed", "b"), start))
	back := body(labels(3, "deployed", "c"), start.Add(time.Minute))
	back.RollbackTo = 1
	see(tr, false, back)
	r, at, ok := tr.rollback()
	if !ok || r.Revision != 3 || at.IsZero() || tr.latest() != 3 || !tr.exists(1) {
		t.Errorf("rollback %v at %s: %v", r, at, ok)
	}
}

func TestGeneratedNameIsThatOfTheNewRecord(t *testing.T) {
	told := ""
	tr := newTracker("", start, func(r release.Record) { told = r.Name })
	other := body(labels(1, "pending-install", "x"), start.Add(-time.Minute))
	other.Name = "other"
	see(tr, false, other)
	mine := body(labels(1, "pending-install", "y"), start.Add(time.Second))
	mine.Name = "app-1234"
	see(tr, false, mine)
	if tr.releaseName() != "app-1234" || told != "app-1234" {
		t.Errorf("name %q, told %q", tr.releaseName(), told)
	}
}

func TestExplanation(t *testing.T) {
	code := 1
	op := release.Operation{Kind: release.KindUpgrade, Command: "upgrade", State: release.StateFailed, Namespace: "shop", Release: "web", Revision: 3,
		ExitCode: &code, Start: start, End: start.Add(15600 * time.Millisecond), ErrorType: release.ErrorNotReady, Cause: "Deployment web is not ready"}
	x := explanation{
		op: op, now: op.End, redact: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }, trace: "4bf92f",
		state: "revision 3 is failed", next: []string{"kubectl -n shop describe pod web-1", "helm rollback web 2"},
		cause: release.Cause{Container: "app",
			LastEvent:   &release.Event{Reason: "BackOff", Message: "Back-off\nrestarting", Count: 3, Last: op.End.Add(-2 * time.Second), Object: release.ObjectRef{Kind: "Pod", Name: "web-1"}},
			Termination: &release.Termination{ExitCode: 3, Reason: "Error"},
			Log:         &release.LogTail{Pod: "web-1", Container: "app", Previous: true, Lines: []string{"password hunter2", "\x1b[2Jpanic"}}},
	}
	want := `fairlead: upgrade of shop/web revision 3 failed after 15.6s (not_ready)
  cause   Deployment web is not ready
  event   Pod web-1 BackOff, 2s ago, 3 times: Back-off restarting
  exit    container app exited with code 3
  log     web-1/app, the run before, last 2 lines:
           | password ***
           | [2Jpanic
  now     revision 3 is failed
  next    kubectl -n shop describe pod web-1
          helm rollback web 2
  trace   4bf92f
`
	if got := x.render(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestConsoleKeepsTheStatusLineBelow(t *testing.T) {
	var out bytes.Buffer
	c := &console{out: &out}
	c.Status("waiting")
	_, _ = c.Write([]byte("WARNING: a\nno newline"))
	c.Status("hidden while Helm is mid-line")
	c.Print("fairlead: x\n")
	want := "waiting" + clearLine + "WARNING: a\nno newline" + "\nfairlead: x\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestProgressLines(t *testing.T) {
	p := &progress{started: start, redact: plainText, width: func() int { return 40 }}
	now := start.Add(12 * time.Second)
	waits := []release.Wait{{Object: release.ObjectRef{Kind: "Deployment", Name: "web"}, Text: "0/3 ready", Since: start.Add(2 * time.Second),
		Pod: "web-1", Reason: "ImagePullBackOff", Detail: "nope:v1"}, {Object: release.ObjectRef{Kind: "Job", Name: "seed"}, Text: "job running"}}
	if got, want := p.plainLine(waits, now), "fairlead: 12s waiting for Deployment web: 0/3 ready for 10s, pod web-1 ImagePullBackOff (nope:v1); Job seed: job running\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := []rune(p.statusLine(waits, now)); len(got) > 39 {
		t.Errorf("the status line has %d columns of 40: %s", len(got), string(got))
	}
}

func TestSummaryIsSafeMarkdown(t *testing.T) {
	op := release.Operation{Command: "upgrade", State: release.StateFailed, Namespace: "shop", Release: "web", Revision: 3,
		ChartName: "app", ChartVersion: "1.0.0", Start: start, End: start.Add(time.Second), Cause: "<script>|`x`"}
	got := summary(op, []string{"rolled back"}, "https://t.example/1")
	for _, want := range []string{"### ❌ helm upgrade shop/web", "| failed | 3 | app 1.0.0 | 1.0s |", "&lt;script&gt;\\|'x'", "[Trace](https://t.example/1)"} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q:\n%s", want, got)
		}
	}
	if text := annotate(ci.GitHub, op, "x\n"); !strings.Contains(text, "::error title=helm upgrade shop/web failed::<script>|`x`\n") {
		t.Errorf("annotation %q", text)
	}
}

func TestChartOfTheCommandLine(t *testing.T) {
	cases := map[string]string{"oci://r.example/charts/web": "web", "repo/web": "web", "https://x.example/web-1.2.3.tgz?sig=1": "web-1.2.3", "": ""}
	for chart, want := range cases {
		if got, _ := chartOf(helm.Invocation{Chart: chart}); got != want {
			t.Errorf("%q: got %q, want %q", chart, got, want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	cases := map[string]Config{
		`--auto-rollback "maybe": want on, off, uninstall or keep`: {AutoRollback: "maybe"},
		`--progress "loud": want auto, tty, plain or none`:         {Progress: "loud"},
		`--metrics "some": want auto, on or off`:                   {Metrics: "some"},
	}
	for want, c := range cases {
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := (Config{TraceURL: "https://t.example"}).Validate(); err == nil {
		t.Error("a trace URL without {trace_id} was accepted")
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}
