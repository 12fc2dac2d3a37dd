package operations

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/release"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Now: func() time.Time { return t0.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// logs puts each operation on the wire as wrapper and agent do.
func logs(ops ...release.Operation) plog.Logs {
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, op := range ops {
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(release.EventName)
		rec.SetTraceID(traceID(op.TraceID))
		rec.SetSpanID(spanID(op.SpanID))
		for k, v := range op.Attributes() {
			put(rec.Attributes(), k, v)
		}
	}
	return ld
}

func put(m pcommon.Map, k string, v any) {
	switch v := v.(type) {
	case string:
		m.PutStr(k, v)
	case int64:
		m.PutInt(k, v)
	case bool:
		m.PutBool(k, v)
	}
}

func traceID(s string) (id pcommon.TraceID) { copy(id[:], s); return id }
func spanID(s string) (id pcommon.SpanID)   { copy(id[:], s); return id }

func deploy(n int, state release.State) release.Operation {
	start := t0.Add(time.Duration(n) * time.Minute)
	prev := n - 1
	op := release.Operation{
		TraceID: "trace-" + string(rune('a'+n)), SpanID: "span-" + string(rune('a'+n)),
		ID: release.DeployID("uid-" + string(rune('a'+n))), Command: "upgrade", Kind: release.KindUpgrade, State: state,
		Observers: []release.Observer{release.ObserverWrapper}, Namespace: "shop", Release: "checkout", Cluster: "prod",
		PreviousRevision: &prev, Revision: n, Start: start,
	}
	if state.Done() {
		op.End = start.Add(20 * time.Second)
	}
	return op
}

func consume(t *testing.T, s *Store, ld plog.Logs) {
	t.Helper()
	bad, err := s.ConsumeLogs(context.Background(), ld)
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
}

func mustRelease(t *testing.T, s *Store) Release {
	t.Helper()
	r, err := s.Release(context.Background(), "prod", "shop", "checkout")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOneOperationIsCountedOnceWhoeverSawItInWhateverOrder(t *testing.T) {
	running := deploy(2, release.StateRunning)
	running.ID = ""
	bound := deploy(2, release.StateRunning)
	ended := deploy(2, release.StateFailed)
	agent := ended
	agent.Observers = []release.Observer{release.ObserverAgent}
	agent.TraceID, agent.SpanID = "another trace", "another"
	all := []release.Operation{running, bound, ended, agent, ended, agent, running}

	rng := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s := open(t, t.TempDir())
		for _, op := range all {
			consume(t, s, logs(op))
		}
		ops, err := s.Operations(context.Background(), OperationFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(ops) != 1 || ops[0].ID != ended.ID || ops[0].State != release.StateFailed {
			t.Fatalf("want one failed operation %s, got %+v", ended.ID, ops)
		}
		if r := mustRelease(t, s); r.Deploys != 1 || r.FailedDeploys != 1 {
			t.Fatalf("want one deploy, failed; got %d, %d failed", r.Deploys, r.FailedDeploys)
		}
	}
}

func TestOperationWithoutSecretKeepsItsSpanAsIdentity(t *testing.T) {
	s := open(t, t.TempDir())
	op := deploy(3, release.StateFailed)
	op.ID = ""
	op.Revision = 0
	consume(t, s, logs(op, op))
	ops, err := s.Operations(context.Background(), OperationFilter{State: release.StateFailed})
	if err != nil || len(ops) != 1 {
		t.Fatal(ops, err)
	}
	if r := mustRelease(t, s); r.FailedDeploys != 1 {
		t.Errorf("a template error is a failed deploy: got %d", r.FailedDeploys)
	}
}

// spansOf is what a script with otel-cli sends: the spec's names and attributes.
func spansOf() ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	span := func(name, id, parent string, from, to time.Duration, attrs map[string]any) ptrace.Span {
		sp := ss.AppendEmpty()
		sp.SetName(name)
		sp.SetTraceID(traceID("script"))
		sp.SetSpanID(spanID(id))
		sp.SetParentSpanID(spanID(parent))
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(t0.Add(from)))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(t0.Add(to)))
		for k, v := range attrs {
			put(sp.Attributes(), k, v)
		}
		return sp
	}
	// The failure and the rollback end, and so arrive, before the operation.
	failed := span("helm-upgrade-failed", "fail", "root", time.Minute, time.Minute, map[string]any{
		"helm.release": "checkout", "helm.exit_code": int64(1), "error.type": "timeout"})
	failed.Status().SetMessage("Deployment checkout is not ready")
	span("helm-rollback", "back", "root", time.Minute, 2*time.Minute, map[string]any{
		"helm.release": "checkout", "helm.rollback_to_revision": int64(1), "helm.exit_code": int64(0)})
	span("helm-upgrade", "root", "", 0, time.Minute, map[string]any{
		"helm.release": "checkout", "helm.namespace": "shop", "k8s.cluster.name": "prod", "helm.previous_revision": int64(1),
		"helm.revision": int64(2), "helm.exit_code": int64(1)})
	span("GET /unrelated", "other", "", 0, time.Second, nil)
	return td
}

func TestSpansAloneMakeOperations(t *testing.T) {
	s := open(t, t.TempDir())
	for range 2 {
		if err := s.ConsumeTraces(context.Background(), spansOf()); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := s.Operations(context.Background(), OperationFilter{Release: "checkout"})
	if err != nil || len(ops) != 2 {
		t.Fatalf("want the upgrade and the rollback, got %+v, %v", ops, err)
	}
	back, up := ops[0], ops[1]
	if up.Kind != release.KindUpgrade || up.State != release.StateFailed || up.ErrorType != "timeout" || up.Cause != "Deployment checkout is not ready" {
		t.Errorf("upgrade: %+v", up)
	}
	if back.Kind != release.KindRollback || back.State != release.StateSucceeded || back.RollbackTo != 1 || back.Namespace != "shop" {
		t.Errorf("rollback: %+v", back)
	}
	var deploys, rollbacks int64
	for _, cluster := range []string{"prod", ""} {
		if r, err := s.Release(context.Background(), cluster, "shop", "checkout"); err == nil {
			deploys, rollbacks = deploys+r.Deploys, rollbacks+r.Rollbacks
		}
	}
	if deploys != 1 || rollbacks != 1 {
		t.Errorf("got %d deploys and %d rollbacks, want 1 and 1", deploys, rollbacks)
	}
}

// point is a derived point in short.
type point struct {
	Metric, Success string
	At              time.Time
	Value           float64
	Gone            bool
}

func points(md pmetric.Metrics) (out []point) {
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		number := func(dps pmetric.NumberDataPointSlice) {
			for _, p := range dps.All() {
				v := p.DoubleValue()
				if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
					v = float64(p.IntValue())
				}
				out = append(out, point{m.Name(), text(p.Attributes(), release.AttrSuccess), p.Timestamp().AsTime(), v, p.Flags().NoRecordedValue()})
			}
		}
		switch m.Type() {
		case pmetric.MetricTypeSum:
			number(m.Sum().DataPoints())
		case pmetric.MetricTypeGauge:
			number(m.Gauge().DataPoints())
		}
	}
	return out
}

func derive(t *testing.T, s *Store) (out []point) {
	t.Helper()
	err := s.Derive(context.Background(), func(_ context.Context, md pmetric.Metrics) error {
		out = points(md)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func select1(ps []point, metric, success string) (out []float64) {
	for _, p := range ps {
		if p.Metric == metric && p.Success == success {
			out = append(out, p.Value)
		}
	}
	return out
}

func TestDerivedCountersStartAtZero(t *testing.T) {
	s := open(t, t.TempDir())
	consume(t, s, logs(deploy(1, release.StateSucceeded)))
	ps := derive(t, s)
	if got := select1(ps, release.MetricDeployCount, "true"); len(got) < 2 || got[0] != 0 || got[len(got)-1] != 1 {
		t.Errorf("deploys that went well: %v, want 0 ... 1", got)
	}
	for _, want := range []struct{ metric, success string }{
		{release.MetricDeployCount, "false"}, {release.MetricRollbackCount, "true"}, {release.MetricRollbackCount, "false"},
	} {
		if got := select1(ps, want.metric, want.success); len(got) == 0 || got[len(got)-1] != 0 {
			t.Errorf("%s success=%s: %v, want 0", want.metric, want.success, got)
		}
	}
	consume(t, s, logs(deploy(2, release.StateSucceeded)))
	if got := select1(derive(t, s), release.MetricDeployCount, "true"); len(got) == 0 || got[0] == 0 || got[len(got)-1] != 2 {
		t.Errorf("the second round: %v, want 2 and no second 0", got)
	}
}

func TestDeriveSendsTheSamePointsAgainAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	consume(t, s, logs(deploy(1, release.StateSucceeded)))
	var first []point
	err := s.Derive(context.Background(), func(_ context.Context, md pmetric.Metrics) error {
		first = points(md)
		return errors.New("killed before the answer")
	})
	if err == nil {
		t.Fatal("the sink's error was lost")
	}
	s.Close()
	if diff := cmp.Diff(select1(first, release.MetricDeployCount, "true"), select1(derive(t, open(t, dir)), release.MetricDeployCount, "true")); diff != "" {
		t.Errorf("points differ after a restart:\n%s", diff)
	}
}

func TestGaugesGoWithTheRelease(t *testing.T) {
	s := open(t, t.TempDir())
	consume(t, s, logs(deploy(1, release.StateSucceeded), deploy(2, release.StateFailed), deploy(3, release.StateFailed)))
	ps := derive(t, s)
	if got := select1(ps, release.MetricConsecutiveFailures, ""); len(got) != 1 || got[0] != 2 {
		t.Errorf("consecutive failures: %v, want 2", got)
	}
	if got := select1(ps, release.MetricRevision, ""); len(got) != 1 || got[0] != 3 {
		t.Errorf("revision: %v, want 3", got)
	}
	gone := deploy(4, release.StateSucceeded)
	gone.Kind, gone.Command, gone.ID = release.KindUninstall, "uninstall", release.UninstallID("uid-d")
	consume(t, s, logs(gone))
	for _, p := range derive(t, s) {
		if strings.HasPrefix(p.Metric, "helm.release.") && !p.Gone {
			t.Errorf("%s is %v after the uninstall", p.Metric, p.Value)
		}
	}
	if r := mustRelease(t, s); r.Status != StatusUninstalled || r.ConsecutiveFailures != 0 {
		t.Errorf("got %s with %d failures", r.Status, r.ConsecutiveFailures)
	}
}

func TestDropCountedKeepsWhatItHasNoRecordOf(t *testing.T) {
	s := open(t, t.TempDir())
	known := deploy(1, release.StateSucceeded)
	consume(t, s, logs(known))
	for _, c := range []struct {
		reason, scope, name string
		exemplar            bool
		span                string // of the exemplar
		dropped             int
	}{
		{"a recorded operation", release.Scope, known.Release, true, known.SpanID, 2},
		{"an operation of the same release without a record", release.Scope, known.Release, true, "other", 0},
		{"a recorded release, and nothing says which operation", release.Scope, known.Release, false, "", 2},
		{"a release without a record", release.Scope, "unknown", false, "", 0},
		{"a metric of somebody else", "myapp", known.Release, false, "", 0},
	} {
		md := pmetric.NewMetrics()
		sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(c.scope)
		m := sm.Metrics().AppendEmpty()
		m.SetName(release.MetricDeployCount)
		dps := m.SetEmptySum().DataPoints()
		for i := range 2 { // the zero that begins the series, and the value
			p := dps.AppendEmpty()
			p.Attributes().PutStr(release.AttrNamespace, known.Namespace)
			p.Attributes().PutStr(release.AttrRelease, c.name)
			if i == 1 && c.exemplar {
				e := p.Exemplars().AppendEmpty()
				e.SetTraceID(traceID(known.TraceID))
				e.SetSpanID(spanID(c.span))
			}
		}
		n, err := s.DropCounted(context.Background(), md)
		if err != nil || n != c.dropped || md.DataPointCount() != 2-c.dropped {
			t.Errorf("%s: dropped %d, %d left, %v; want %d dropped", c.reason, n, md.DataPointCount(), err, c.dropped)
		}
	}
}

func TestReleasesPages(t *testing.T) {
	s := open(t, t.TempDir())
	var names []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		op := deploy(1, release.StateSucceeded)
		op.Release, op.ID, op.SpanID = name, release.DeployID(name), "s"+name
		consume(t, s, logs(op))
	}
	f := ReleaseFilter{Limit: 2}
	for range 4 {
		page, err := s.Releases(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			names = append(names, r.Name)
			f.After = r.Cursor()
		}
	}
	if got := strings.Join(names, ""); got != "abcde" {
		t.Errorf("got %q", got)
	}
}

func TestSnapshotOfTheFailureIsKeptNotTheOneAfterTheRollback(t *testing.T) {
	s := open(t, t.TempDir())
	op := deploy(1, release.StateFailed)
	for i, body := range []string{`{"pods":3}`, `{"pods":0}`} {
		ld := logs(op)
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		rec.SetEventName(release.EventSnapshot)
		rec.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(time.Duration(i) * time.Second)))
		rec.Body().SetStr(body)
		consume(t, s, ld)
	}
	body, _, err := s.Snapshot(context.Background(), op.ID)
	if err != nil || body != `{"pods":3}` {
		t.Errorf("got %s, %v", body, err)
	}
	if _, _, err := s.Snapshot(context.Background(), "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "schema version 99 is newer") {
		t.Errorf("got %v", err)
	}
}
