package alerting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/alerts"
	"fairlead.dev/fairlead/internal/store/audit"
)

// hook is a receiver that answers as it is told.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []string // "firing HelmDeploymentsFailing"
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: 200}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct {
			Status string
			Alerts []struct{ Labels map[string]string }
		}
		if err := json.Unmarshal(body, &m); err != nil || len(m.Alerts) != 1 {
			t.Errorf("body %s: %v", body, err)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status == 200 {
			h.got = append(h.got, m.Status+" "+m.Alerts[0].Labels["alertname"])
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) { h.mu.Lock(); h.status = status; h.mu.Unlock() }

func (h *hook) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	return got
}

// world is an engine over a directory, with a clock and records of its own.
type world struct {
	t    *testing.T
	dir  string
	hook *hook
	now  time.Time
	ops  []release.Operation
	*Engine
	close func()
}

func (w *world) Outline(context.Context, time.Time) ([]release.Operation, error) { return w.ops, nil }

func (w *world) Operation(_ context.Context, id string) (release.Operation, error) {
	for _, op := range w.ops {
		if op.ID == id {
			op.Cause = "container app keeps crashing"
			return op, nil
		}
	}
	return release.Operation{}, errors.New("not found")
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), hook: newHook(t), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.start()
	t.Cleanup(func() { w.close() })
	return w
}

// start opens the engine, as after a restart.
func (w *world) start() {
	w.t.Helper()
	store, err := alerts.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	record, err := audit.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := notify.New(notify.Options{Name: "hook", Kind: notify.KindWebhook, URL: w.hook.URL})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Engine = New(Options{
		Operations: w, Store: store, Audit: record, Now: func() time.Time { return w.now }, Interval: time.Minute,
		Thresholds: alert.Thresholds{RollbackRate: 0.2, RollbackWindow: time.Hour, RollbackMinOperations: 2, SlowFactor: 2, SlowBaseline: 720 * time.Hour,
			SlowMinSamples: 20, SlowKeep: time.Hour, Failures: 3, StuckAfter: time.Hour, NoDataAfter: time.Minute},
		Receivers: []Receiver{{Receiver: r, Repeat: 4 * time.Hour}}, URL: "http://fairlead/", Runbooks: "https://docs/alerts",
	})
	w.close = func() { store.Close(); record.Close() }
}

func (w *world) restart() { w.close(); w.start() }

func (w *world) deploy(state release.State) {
	w.ops = append(w.ops, release.Operation{ID: fmt.Sprintf("u%d/deploy", len(w.ops)), Kind: release.KindUpgrade, State: state, Namespace: "shop", Release: "checkout",
		Start: w.now.Add(-10 * time.Second), End: w.now})
	w.now = w.now.Add(time.Minute)
}

// round evaluates, delivers what is due, and returns what the hook got.
func (w *world) round() []string {
	w.t.Helper()
	if err := w.Round(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.delivered()
	return w.hook.take()
}

func (w *world) delivered() {
	w.t.Helper()
	for {
		wait, err := w.deliverNext(w.t.Context(), w.o.Receivers[0])
		if err != nil {
			w.t.Fatal(err)
		}
		if wait > 0 {
			return
		}
	}
}

const failing = "HelmDeploymentsFailing"

func TestFiresOnceRepeatsAndEnds(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.deploy(release.StateFailed)
	}
	if got := w.round(); len(got) != 0 {
		t.Errorf("three failures: %v", got)
	}
	w.deploy(release.StateFailed)
	if diff := cmp.Diff([]string{"firing " + failing}, w.round()); diff != "" {
		t.Error(diff)
	}
	w.restart()
	if got := w.round(); len(got) != 0 {
		t.Errorf("told again after a restart: %v", got)
	}
	o, err := w.Overview(t.Context())
	if err != nil || len(o.Alerts) != 1 || o.Alerts[0].Cause != "container app keeps crashing" || o.Alerts[0].Deliveries[0].State != alerts.DeliveryDelivered {
		t.Errorf("%+v, %v", o.Alerts, err)
	}
	w.now = w.now.Add(4 * time.Hour)
	if diff := cmp.Diff([]string{"firing " + failing}, w.round()); diff != "" {
		t.Errorf("repetition: %s", diff)
	}
	w.deploy(release.StateSucceeded)
	w.restart()
	if diff := cmp.Diff([]string{"resolved " + failing}, w.round()); diff != "" {
		t.Error(diff)
	}
	if got := w.round(); len(got) != 0 {
		t.Errorf("the end was told twice: %v", got)
	}
	for range 4 {
		w.deploy(release.StateFailed)
	}
	if diff := cmp.Diff([]string{"firing " + failing}, w.round()); diff != "" {
		t.Errorf("the second time: %s", diff)
	}
	w.now = w.now.Add(48 * time.Hour)
	w.deploy(release.StateSucceeded)
	w.round()
	w.now = w.now.Add(25 * time.Hour)
	w.round()
	if o, err := w.Overview(t.Context()); err != nil || len(o.Alerts) != 0 {
		t.Errorf("a day after its end: %+v, %v", o.Alerts, err)
	}
}

func TestQueueOutlivesFailuresAndRestarts(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.deploy(release.StateFailed)
	}
	w.hook.answer(503)
	if got := w.round(); len(got) != 0 {
		t.Fatal(got)
	}
	w.restart()
	w.deploy(release.StateSucceeded)
	w.hook.answer(200)
	if diff := cmp.Diff([]string{"firing " + failing, "resolved " + failing}, w.round()); diff != "" {
		t.Errorf("in order, both: %s", diff)
	}
}

func TestFinalErrorsAreNotTriedAgain(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.deploy(release.StateFailed)
	}
	w.hook.answer(400)
	w.round()
	w.hook.answer(200)
	w.now = w.now.Add(time.Hour)
	if got := w.round(); len(got) != 0 {
		t.Error(got)
	}
	o, err := w.Overview(t.Context())
	if d := o.Alerts[0].Deliveries[0]; err != nil || d.State != alerts.DeliveryFailed || !strings.Contains(d.Error, "400") {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestSilence(t *testing.T) {
	w := newWorld(t)
	m, err := alert.ParseMatcher("helm_namespace=~sho.")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Silence(t.Context(), alert.Silence{Matchers: []alert.Matcher{m}, EndsAt: w.now.Add(time.Hour), Comment: "maintenance"}, "ops")
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		w.deploy(release.StateFailed)
	}
	w.restart()
	if got := w.round(); len(got) != 0 {
		t.Errorf("told under a silence: %v", got)
	}
	o, err := w.Overview(t.Context())
	if err != nil || o.Alerts[0].State != alert.StateFiring || len(o.Alerts[0].SilencedBy) != 1 {
		t.Errorf("a silenced alert fires and is shown: %+v, %v", o.Alerts, err)
	}
	if _, err := w.Unsilence(t.Context(), s.ID, "ops"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"firing " + failing}, w.round()); diff != "" {
		t.Errorf("after it: %s", diff)
	}
	if _, err := w.Unsilence(t.Context(), s.ID, "ops"); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	log, err := w.o.Audit.List(t.Context(), time.Time{}, 0)
	if err != nil || len(log) != 2 || log[1].Who != "ops" || !strings.Contains(log[1].Detail, "helm_namespace=~sho.") {
		t.Errorf("record of actions: %+v, %v", log, err)
	}
}

func TestSilencesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, s := range map[string]alert.Silence{
		"no matcher":   {EndsAt: w.now.Add(time.Hour)},
		"everything":   {EndsAt: w.now.Add(time.Hour), Matchers: []alert.Matcher{{Name: "x", Op: "=~", Value: ".*"}}},
		"over":         {EndsAt: w.now.Add(-time.Hour), Matchers: []alert.Matcher{{Name: "x", Op: "=", Value: "y"}}},
		"no operator":  {EndsAt: w.now.Add(time.Hour), Matchers: []alert.Matcher{{Name: "x", Value: "y"}}},
		"no regexp":    {EndsAt: w.now.Add(time.Hour), Matchers: []alert.Matcher{{Name: "x", Op: "=~", Value: "("}}},
		"no label":     {EndsAt: w.now.Add(time.Hour), Matchers: []alert.Matcher{{Op: "=", Value: "y"}}},
		"long comment": {EndsAt: w.now.Add(time.Hour), Matchers: []alert.Matcher{{Name: "x", Op: "=", Value: "y"}}, Comment: strings.Repeat("x", 2000)},
	} {
		if _, err := w.Silence(t.Context(), s, "ops"); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTestFiring(t *testing.T) {
	w := newWorld(t)
	for _, r := range alert.Rules() {
		results, err := w.Test(t.Context(), strings.ToLower(string(r)), "ops")
		if err != nil || len(results) != 1 || !results[0].Delivered {
			t.Errorf("%s: %+v, %v", r, results, err)
		}
		if diff := cmp.Diff([]string{"firing " + string(r)}, w.hook.take()); diff != "" {
			t.Error(diff)
		}
	}
	w.hook.answer(500)
	results, err := w.Test(t.Context(), failing, "ops")
	if err != nil || results[0].Delivered || !strings.Contains(results[0].Error, "500") {
		t.Errorf("%+v, %v", results, err)
	}
	if _, err := w.Test(t.Context(), "Nonsense", "ops"); !errors.Is(err, ErrUnknownRule) {
		t.Error(err)
	}
	log, err := w.o.Audit.List(t.Context(), time.Time{}, 0)
	if err != nil || len(log) != len(alert.Rules())+1 || log[0].Action != "alert.test" || log[0].Who != "ops" {
		t.Errorf("record of actions: %+v, %v", log, err)
	}
}

func TestRunDeliversWithinSeconds(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.deploy(release.StateFailed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got := w.hook.take(); len(got) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was delivered")
		}
	}
	cancel()
	<-done
}
