package controller

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/canary"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/rollout"
)

// maxTasks bounds what waits to be told; beyond it the newest is left out.
const maxTasks = 1000

const (
	tellers = 4
	// tellTimeout bounds one task: a receiver that does not answer is given up.
	tellTimeout = 2 * time.Minute
)

// teller says what rollouts do: events, spans, records, metrics, notifications.
// None of it holds a rollout up, and none of it failing changes one.
type teller struct {
	events  events.EventRecorder
	emitter *emit.Emitter
	sources *sources
	notify  []*notify.Receiver
	cluster string
	driver  string // in records
	wake    func(types.NamespacedName)
	tasks   chan func(context.Context)

	mu    sync.Mutex
	said  map[types.NamespacedName]said
	found map[types.NamespacedName]*explained
	met   map[types.NamespacedName]bool // by this process
}

// said is what was last recorded of a rollout.
type said struct {
	record rollout.Record
	look   time.Time
}

// Start does what may take long until ctx ends.
func (t *teller) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	for range tellers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case task := <-t.tasks:
					bounded, cancel := context.WithTimeout(ctx, tellTimeout)
					task(bounded)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (t *teller) later(task func(context.Context)) {
	select {
	case t.tasks <- task:
	default: // telling must not fill the memory
	}
}

// decided tells what a decision changes, once its state is persisted.
func (t *teller) decided(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) {
	measure(cr, s, a)
	before, after := s.state, a.State
	if before.Phase == rollout.PhaseRollingBack && after.Phase == rollout.PhaseIdle {
		// Superseded: this rollout ends here, and the next has another id.
		after = before
		after.Phase, after.PhaseStarted = rollout.PhaseRolledBack, s.seen.Now
		a.State, a.Reason, a.Message = after, before.Reason, before.Message
	}
	if ends(before, after) {
		metricDuration.WithLabelValues(string(after.Phase)).Observe(s.seen.Now.Sub(after.Started).Seconds())
	}
	t.turned(cr, s, turn{before: before, after: after, message: a.Message, at: s.seen.Now})
	switch {
	case turns(before, after):
	case after.Contested && !before.Contested:
		t.event(cr, corev1.EventTypeWarning, string(rollout.ReasonRouteContested), "Hold", "%s", a.Message)
	case after.Reasserts > before.Reasserts:
		t.event(cr, corev1.EventTypeWarning, "RouteChanged", "SetWeight", "%s", a.Message)
	}
	t.look(ctx, cr, s)
	t.record(ctx, cr, s, a)
}

// ends reports whether a rollout ends.
func ends(before, after rollout.State) bool {
	return after.Phase.Ended() && !before.Phase.Ended() && before.Phase != rollout.PhaseIdle
}

// turned tells of a change in events, spans and messages. That may be told
// twice: spans have ids that derive from the rollout.
func (t *teller) turned(cr *v1alpha1.CanaryRelease, s *scene, c turn) {
	before, after := c.before, c.after
	switch {
	case begins(before, after):
		t.event(cr, corev1.EventTypeNormal, "RolloutStarted", "Start", "rolling out %s (stable runs %s)", orUnknown(cr.Status.CanaryVersion), orUnknown(cr.Status.StableVersion))
	case after.Phase == rollout.PhaseRollingBack && before.Phase != after.Phase:
		t.event(cr, corev1.EventTypeWarning, string(after.Reason), "RollBack", "rolling back at step %s: %s", cr.Status.Step, after.Message)
		t.step(cr, s, c, after.Message)
		t.explain(cr, before)
	case after.Phase == rollout.PhaseProgressing && after.Step > before.Step, after.Phase == rollout.PhasePromoting && before.Phase == rollout.PhaseProgressing:
		t.event(cr, corev1.EventTypeNormal, "StepPassed", "Advance", "%s", c.message)
		t.step(cr, s, c, "")
	case !after.GateStarted.IsZero() && before.GateStarted.IsZero():
		t.event(cr, corev1.EventTypeNormal, "GateStarted", "Gate", "%s", c.message)
	}
	if ends(before, after) {
		t.ended(cr, c)
	}
}

// event records a Kubernetes event.
func (t *teller) event(cr *v1alpha1.CanaryRelease, kind, reason, action, format string, args ...any) {
	t.events.Eventf(cr, nil, kind, reason, action, "%s", cut(fmt.Sprintf(format, args...)))
}

func orUnknown(v string) string {
	if v == "" {
		return "a version that does not say which"
	}
	return v
}

// within returns a context within the span of this rollout that is about what,
// and where the next span has its derived id.
func within(cr *v1alpha1.CanaryRelease, parent, about string) context.Context {
	ctx := context.Background()
	raw, err := hex.DecodeString(cr.Status.TraceID)
	if err != nil || len(raw) != 16 {
		return ctx
	}
	traceID := trace.TraceID(raw)
	parentID := trace.SpanID{}
	if parent != "" {
		parentID = rollout.SpanID(cr.Status.RolloutID, parent)
	} else if raw, err := hex.DecodeString(cr.Status.SpanID); err == nil && len(raw) == 8 {
		parentID = trace.SpanID(raw)
	}
	if parentID.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: traceID, SpanID: parentID, TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	if about == "" {
		return ctx
	}
	return emit.WithIDs(ctx, traceID, rollout.SpanID(cr.Status.RolloutID, about))
}

func stepAbout(step int) string { return fmt.Sprintf("step/%d", step) }

func (t *teller) attributes(cr *v1alpha1.CanaryRelease) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String(rollout.AttrRolloutID, cr.Status.RolloutID),
		attribute.String("canary.service", cr.Spec.Service),
		attribute.String("canary.version", cr.Status.CanaryVersion),
		attribute.String("canary.stable_version", cr.Status.StableVersion),
		attribute.String("rollout.name", cr.Name),
		attribute.String("k8s.namespace.name", cr.Namespace),
	}
}

// step writes the span of a step that has ended.
func (t *teller) step(cr *v1alpha1.CanaryRelease, s *scene, c turn, failed string) {
	before := c.before
	if before.Phase != rollout.PhaseProgressing || before.Step >= len(s.plan.Steps) {
		return
	}
	start := before.GateStarted
	if start.IsZero() {
		start = before.PhaseStarted
	}
	_, span := t.emitter.Tracer().Start(within(cr, emit.RolloutRoot, stepAbout(before.Step)), emit.RolloutStepSpan,
		trace.WithTimestamp(start), trace.WithAttributes(append(t.attributes(cr),
			attribute.Int("rollout.step", before.Step+1), attribute.Int("rollout.weight", s.plan.Steps[before.Step].Weight))...))
	if failed != "" {
		span.SetStatus(codes.Error, failed)
	}
	span.End(trace.WithTimestamp(c.at))
}

// look writes the span of a look, once.
func (t *teller) look(_ context.Context, cr *v1alpha1.CanaryRelease, s *scene) {
	l := s.look
	key := client.ObjectKeyFromObject(cr)
	t.mu.Lock()
	last := t.said[key]
	fresh := l != nil && l.at.After(last.look)
	if fresh {
		last.look = l.at
		t.said[key] = last
	}
	t.mu.Unlock()
	if !fresh || l.err != nil {
		return
	}
	metricLook.Observe(l.took.Seconds())
	subject := canary.Subject(&cr.Spec)
	subject.CanaryVersion, subject.StableVersion = cr.Status.CanaryVersion, cr.Status.StableVersion
	judge.Record(within(cr, stepAbout(l.step), fmt.Sprintf("look/%d", l.at.UnixNano())), t.emitter.Tracer(), subject, judge.Report{Verdict: l.verdict}, l.at, l.at.Add(l.took))
}

// weighed notes how long a rollback took from what was seen to weight 0.
func (t *teller) weighed(_ *v1alpha1.CanaryRelease, s *scene, a rollout.Action, now time.Time) {
	if a.State.Phase == rollout.PhaseRollingBack && s.state.Phase != rollout.PhaseRollingBack {
		metricRetreat.Observe(now.Sub(s.seen.Now).Seconds())
	}
}

func (t *teller) forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.said, key)
	delete(t.found, key)
	delete(t.met, key)
}

// ended writes the rollout's own span and tells people.
func (t *teller) ended(cr *v1alpha1.CanaryRelease, c turn) {
	after := c.after
	failed := ""
	kind, message := corev1.EventTypeNormal, after.Message
	if after.Phase != rollout.PhaseSucceeded {
		failed, kind = after.Message, corev1.EventTypeWarning
	}
	if v := cr.Status.Verdict; v != nil && after.Phase == rollout.PhaseRolledBack && v.CanaryRequests > 0 {
		message += fmt.Sprintf("; the canary served %d requests, %d of them failed", v.CanaryRequests, v.CanaryErrors)
	}
	t.event(cr, kind, string(after.Phase), "End", "%s: %s%s", orUnknown(cr.Status.CanaryVersion), message, evidence(cr))
	var links []trace.Link
	if found := t.explanation(cr); found != nil {
		links = judge.TraceLinks(found.Traces)
	}
	attrs := append(t.attributes(cr), attribute.String("rollout.phase", string(after.Phase)), attribute.String("rollout.reason", string(after.Reason)), attribute.String("rollout.message", after.Message))
	if v := cr.Status.Verdict; v != nil {
		attrs = append(attrs, attribute.String("canary.decision", v.Decision), attribute.String("canary.reason", v.Reason),
			attribute.StringSlice("rollout.failed_checks", failedChecks(v)), attribute.StringSlice("rollout.failed_traces", v.SampleTraces))
	}
	_, span := t.emitter.Tracer().Start(within(cr, "", emit.RolloutRoot), emit.RolloutSpan,
		trace.WithTimestamp(after.Started), trace.WithAttributes(attrs...), trace.WithLinks(links...))
	if failed != "" {
		span.SetStatus(codes.Error, failed)
	}
	span.End(trace.WithTimestamp(c.at))
	t.message(cr, c, message)
}

// record emits where the rollout is, at each change and each look.
func (t *teller) record(ctx context.Context, cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) {
	if cr.Status.RolloutID == "" {
		return
	}
	r := t.recordOf(cr, s, a)
	key := client.ObjectKeyFromObject(cr)
	t.mu.Lock()
	last := t.said[key]
	same := last.record.ID == r.ID && sameRecord(last.record, r) && (s.look == nil || !s.look.at.After(last.record.At)) && len(last.record.Explanation) == len(r.Explanation)
	if !same {
		last.record = r
		t.said[key] = last
	}
	t.mu.Unlock()
	if same {
		return
	}
	if err := t.emitter.Rollout(ctx, r); err != nil {
		log.FromContext(ctx).Info("record of the rollout was not sent", "error", err.Error())
	}
}

func sameRecord(a, b rollout.Record) bool {
	weight := func(r rollout.Record) int {
		if r.WeightObserved == nil {
			return -1
		}
		return *r.WeightObserved
	}
	return a.Phase == b.Phase && a.Step == b.Step && a.Weight == b.Weight && weight(a) == weight(b) && a.Reason == b.Reason &&
		a.Paused == b.Paused && a.Decision == b.Decision && a.AnalysisError == b.AnalysisError
}

func (t *teller) recordOf(cr *v1alpha1.CanaryRelease, s *scene, a rollout.Action) rollout.Record {
	st := a.State
	weight := s.route.Weight
	r := rollout.Record{
		ID: cr.Status.RolloutID, At: s.seen.Now, Cluster: t.cluster, Namespace: cr.Namespace, Name: cr.Name, Service: cr.Spec.Service,
		CanaryVersion: cr.Status.CanaryVersion, StableVersion: cr.Status.StableVersion, Driver: t.driver,
		Phase: st.Phase, Reason: a.Reason, Message: a.Message, Paused: cr.Spec.Pause, Step: st.Step, WeightObserved: &weight,
		Started: st.Started, PhaseStarted: st.PhaseStarted, GateStarted: st.GateStarted, Deadline: st.Started.Add(s.plan.Deadline),
		AnalysisError: s.seen.Error, TraceID: cr.Status.TraceID,
	}
	if st.Phase.Ended() {
		r.Ended, r.Reason, r.Message = st.PhaseStarted, st.Reason, st.Message
	}
	if cr.Status.DesiredWeight != nil {
		r.Weight = int(*cr.Status.DesiredWeight)
	}
	for _, step := range s.plan.Steps {
		rs := rollout.RecordStep{Weight: step.Weight, Approval: step.Approval}
		if step.Gate > 0 {
			rs.Gate = step.Gate.String()
		}
		r.Steps = append(r.Steps, rs)
	}
	if l := s.look; l != nil && l.err == nil {
		r.Decision, r.DecisionReason = rollout.Decision(l.verdict.Decision), string(l.verdict.Reason)
		if e := l.verdict.Evidence; e != nil {
			share := e.TrafficShare
			r.TrafficShare = &share
		}
		if text, err := json.Marshal(l.verdict); err == nil {
			r.Verdict = text
		}
	} else if v := cr.Status.Verdict; v != nil {
		r.Decision, r.DecisionReason = rollout.Decision(v.Decision), v.Reason
	}
	if found := t.explanation(cr); found != nil {
		if text, err := json.Marshal(found); err == nil {
			r.Explanation = text
		}
	}
	return r
}
