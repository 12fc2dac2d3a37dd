package webtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/release"
)

// failingUpgrade is docs/trace-of-a-failing-upgrade.json, recorded on a real
// cluster.
//
//go:embed failing-upgrade.json
var failingUpgrade []byte

var (
	names      = []string{"checkout", "cart", "catalog", "search", "payments", "accounts", "mailer", "recommend", "inventory", "gateway", "pricing", "reviews"}
	namespaces = []string{"shop", "payments", "platform", "data"}
	causes     = []struct {
		class release.ErrorType
		text  string
	}{
		{release.ErrorNotReady, "Deployment %s is not ready (1/3 ready): container app of pod %[1]s-7c9f-x2l keeps crashing (Error, exit code 1, 4 restarts); it last said \"connection refused: db:5432\""},
		{release.ErrorTimeout, "Deployment %s is not ready (2/3 ready): image registry.example.com/%[1]s:2.4.1 of pod %[1]s-66d-9pq cannot be pulled (ImagePullBackOff)"},
		{release.ErrorHook, "Hook Job %s-migrate failed: container migrate of pod %[1]s-migrate-8k2 ended with exit code 2"},
		{release.ErrorLock, "another operation on release %s is in progress since 14:02"},
	}
)

// Deploys sends count operations of so many releases that end before now, over
// the last 30 days, most of them lately. The same seed gives the same.
func (s Sender) Deploys(ctx context.Context, now time.Time, seed uint64, releases, count int) error {
	random := rand.New(rand.NewPCG(seed, 7))
	type at struct{ revision, deployed int }
	state := make([]at, releases)
	var ops []release.Operation
	times := make([]time.Time, count)
	for i := range times {
		// Half of them within the last day.
		back := math.Pow(float64(count-i)/float64(count), 3) * 30 * 24
		times[i] = now.Add(-4*time.Minute - time.Duration(back*float64(time.Hour)))
	}
	for i, start := range times {
		r := random.IntN(releases)
		if i < releases {
			r = i // each has one
		}
		name := names[r%len(names)]
		if r >= len(names) {
			name += "-" + strconv.Itoa(r/len(names))
		}
		seconds := (18 + 9*float64(r%7)) * math.Exp(random.NormFloat64()*0.25)
		previous := state[r].deployed
		state[r].revision++
		op := release.Operation{
			ID: release.DeployID(fmt.Sprintf("%08x-0000-4000-8000-%012x", r, i)), Command: "upgrade", Kind: release.KindUpgrade, State: release.StateSucceeded,
			Cluster: "prod-eu", Namespace: namespaces[r%len(namespaces)], Release: name, PreviousRevision: &previous, Revision: state[r].revision,
			ChartName: names[r%len(names)], ChartVersion: fmt.Sprintf("1.%d.%d", r%5, state[r].revision), Wait: "watcher",
			Start: start, End: start.Add(time.Duration(seconds * float64(time.Second))), Observers: []release.Observer{release.ObserverAgent, release.ObserverWrapper}[:1+r%2],
		}
		if previous == 0 {
			op.Kind = release.KindInstall
		}
		if r%2 == 1 {
			exit := 0
			op.ExitCode = &exit
			op.Observers = []release.Observer{release.ObserverWrapper}
			op.Extra = map[string]string{"cicd.pipeline.name": "deploy " + name, "cicd.pipeline.run.url.full": "https://ci.example.com/runs/" + strconv.Itoa(4000+i), "vcs.ref.head.revision": fmt.Sprintf("%040x", random.Uint64())}
		}
		if random.Float64() < 0.07 && previous > 0 {
			c := causes[random.IntN(len(causes))]
			op.State, op.ErrorType, op.Cause = release.StateFailed, c.class, fmt.Sprintf(c.text, name)
			op.End = op.Start.Add(time.Duration((90 + 60*random.Float64()) * float64(time.Second)))
			if op.ExitCode != nil {
				exit := 1
				op.ExitCode = &exit
			}
		} else {
			state[r].deployed = state[r].revision
		}
		ops = append(ops, op)
		if op.State == release.StateFailed && rolledBack(random) {
			state[r].revision++
			back := op
			back.ID, back.Command, back.Kind, back.State = release.RollbackID(fmt.Sprintf("%08x-1111-4000-8000-%012x", r, i)), "rollback", release.KindRollback, release.StateSucceeded
			back.Revision, back.RollbackTo, back.Automatic, back.ParentID = state[r].revision, previous, true, op.ID
			back.ErrorType, back.Cause, back.ExitCode = "", "", nil
			back.Start, back.End = op.End, op.End.Add(9*time.Second)
			ops = append(ops, back)
		}
	}
	return s.Operations(ctx, ops...)
}

// rolledBack is true for four failures of five.
func rolledBack(r *rand.Rand) bool { return r.Float64() < 0.8 }

// FailingUpgrade is what a failing upgrade is known by.
type FailingUpgrade struct {
	ID, RollbackID, TraceID string
	End                     time.Time
}

// FailingUpgrade sends the trace of an upgrade that failed and was rolled back,
// as it was recorded, moved to end at the given time, with its events and the
// snapshot of its cluster.
func (s Sender) FailingUpgrade(ctx context.Context, end time.Time) (FailingUpgrade, error) {
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(failingUpgrade)
	if err != nil {
		return FailingUpgrade{}, err
	}
	var last pcommon.Timestamp
	each(td, func(span ptrace.Span) { last = max(last, span.EndTimestamp()) })
	shift := end.Sub(last.AsTime())
	move := func(t time.Time) time.Time { return t.Add(shift) }
	out := FailingUpgrade{End: end}
	var failed release.Operation
	each(td, func(span ptrace.Span) {
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(move(span.StartTimestamp().AsTime())))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(move(span.EndTimestamp().AsTime())))
		for _, e := range span.Events().All() {
			e.SetTimestamp(pcommon.NewTimestampFromTime(move(e.Timestamp().AsTime())))
		}
		for _, key := range []string{release.AttrStart, release.AttrEnd} {
			if v, ok := span.Attributes().Get(key); ok {
				ns, err := strconv.ParseInt(v.AsString(), 10, 64)
				if err == nil {
					span.Attributes().PutStr(key, strconv.FormatInt(move(time.Unix(0, ns)).UnixNano(), 10))
				}
			}
		}
		id, ok := span.Attributes().Get(release.AttrID)
		switch {
		case ok && span.Name() == "helm-upgrade":
			out.ID, out.TraceID = id.AsString(), span.TraceID().String()
			failed = release.Operation{ID: out.ID, Release: "checkout", Namespace: "shop", Cluster: "demo", Revision: 2,
				Start: span.StartTimestamp().AsTime(), End: span.EndTimestamp().AsTime()}
		case ok && span.Name() == release.SpanRollback:
			out.RollbackID = id.AsString()
		}
	})
	if err := s.Traces(ctx, td); err != nil {
		return out, err
	}
	snap := snapshotOf(failed)
	if err := s.Events(ctx, failed, snap.Events...); err != nil {
		return out, err
	}
	body, err := json.Marshal(snap)
	if err != nil {
		return out, err
	}
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName(release.EventSnapshot)
	rec.SetTimestamp(pcommon.NewTimestampFromTime(snap.Taken))
	rec.Attributes().PutStr(release.AttrID, failed.ID)
	rec.Body().SetStr(string(body))
	return out, s.Logs(ctx, ld)
}

func each(td ptrace.Traces, f func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				f(span)
			}
		}
	}
}

// snapshotOf is the cluster at the failure of that upgrade.
func snapshotOf(op release.Operation) release.Snapshot {
	const pod = "checkout-55bc497bc-sf5vh"
	began, end := second(op.Start), second(op.End)
	meta := func(kind, name string) release.Meta {
		return release.Meta{ObjectRef: release.ObjectRef{Kind: kind, Namespace: "shop", Name: name, UID: "uid-" + name}, Created: began}
	}
	deployment, replicas, p := meta(release.KindDeployment, "checkout"), meta(release.KindReplicaSet, "checkout-55bc497bc"), meta(release.KindPod, pod)
	replicas.Owner, p.Owner = deployment.ObjectRef, replicas.ObjectRef
	exit := release.Termination{ExitCode: 3, Reason: "Error", Message: "no database at db:5432", Started: end.Add(-2 * time.Second), Finished: end.Add(-time.Second)}
	event := func(kind, reason, message string, ref release.ObjectRef, at time.Time, count int32) release.Event {
		return release.Event{UID: "uid-" + reason, Name: ref.Name + "." + reason, Namespace: "shop", Type: kind, Reason: reason, Message: message, Count: count,
			First: began, Last: at, Source: "kubelet", Object: ref}
	}
	return release.Snapshot{
		Version: release.SnapshotVersion, Taken: end, Cluster: "demo",
		Facts: release.Facts{
			Release: release.Ref{Namespace: "shop", Name: "checkout"}, Revision: 2, Status: "failed",
			Workloads: []release.Workload{
				{Meta: deployment, Desired: 1, Total: 2, Updated: 1, Ready: 0, Conditions: []release.Condition{{Type: "Available", Status: "False", Reason: "MinimumReplicasUnavailable"}}},
				{Meta: replicas, Desired: 1, Total: 1, Updated: 1},
			},
			Pods: []release.Pod{{Meta: p, Phase: "Running", Node: "node-1",
				Conditions: []release.Condition{{Type: "Ready", Status: "False", Reason: "ContainersNotReady"}},
				Containers: []release.Container{{Name: "app", Image: "fairlead.test/app:v1", State: release.ContainerWaiting, Reason: release.ReasonCrashLoop, Restarts: 2, LastExit: &exit}}}},
			Events: []release.Event{
				event("Normal", "Scheduled", "Successfully assigned shop/"+pod+" to node-1", p.ObjectRef, began.Add(time.Second), 1),
				event("Normal", "Pulled", "Container image \"fairlead.test/app:v1\" already present on machine", p.ObjectRef, began.Add(2*time.Second), 3),
				event("Warning", "BackOff", "Back-off restarting failed container app in pod "+pod, p.ObjectRef, end.Add(-time.Second), 4),
			},
		},
		Nodes: []release.Node{{Name: "node-1", Ready: true, Conditions: []release.Condition{{Type: "Ready", Status: "True"}}}},
		Logs:  []release.LogTail{{Pod: pod, Container: "app", Previous: true, Lines: []string{"listening on :8080", "connecting to db:5432", "no database at db:5432"}}},
	}
}

// Trace sends an operation's trace of n spans.
func (s Sender) Trace(ctx context.Context, traceID [16]byte, start time.Time, n int) error {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", release.ServiceName)
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range n {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(traceID)
		span.SetSpanID(spanID(i))
		parent, name := 0, "k8s.pod"
		switch {
		case i == 0:
			name = "helm-upgrade"
			put(span.Attributes(), map[string]any{release.AttrRelease: "large", release.AttrNamespace: "shop", release.AttrID: "large-0001/deploy", release.AttrOperation: "upgrade"})
		case i < 20:
			name = "k8s.workload.rollout"
			span.Attributes().PutStr("k8s.deployment.name", "web-"+strconv.Itoa(i))
		default:
			parent = 1 + i%19
			span.Attributes().PutStr("k8s.pod.name", fmt.Sprintf("web-%d-7d9f6c5b4-%05d", parent, i))
		}
		if i > 0 {
			span.SetParentSpanID(spanID(parent))
		}
		span.SetName(name)
		from := time.Duration(i%600) * 100 * time.Millisecond
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(from)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(from + time.Duration(1+i%40)*time.Second)))
		if i == 0 {
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(2 * time.Minute)))
		}
		if i == n/2 {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("CrashLoopBackOff: container app keeps crashing")
		}
	}
	return s.Traces(ctx, td)
}

func spanID(i int) pcommon.SpanID {
	return pcommon.SpanID{1, 0, 0, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
}
