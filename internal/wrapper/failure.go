package wrapper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

// evidenceBound bounds what is asked of the cluster after a failure: it stands
// between Helm's end and the user's prompt, or the rollback.
const evidenceBound = 4 * time.Second

// failure is what is known of why an operation failed.
type failure struct {
	cause       release.Cause
	snapshot    release.Snapshot
	hasSnapshot bool
	lock        *helm.StuckLock
	leftPending bool // our own Helm left the release in the middle
}

// explainFailure gathers the evidence, before anything removes it, and fills
// the operation's class and cause.
func (s *session) explainFailure(ctx context.Context, result helm.Result) failure {
	ctx, cancel := context.WithTimeout(ctx, evidenceBound)
	defer cancel()
	class, said := s.inv.Classify(result.ExitCode, result.Stderr, result.Cancelled)
	said = s.redact(said)
	var f failure
	if class == release.ErrorLock {
		// What was taken for ours belongs to whoever holds the release.
		s.op.ID, s.op.Revision = "", 0
		f.lock = s.findLock(ctx)
		f.cause = release.Cause{ErrorType: class, Sentence: said}
		if f.lock != nil {
			f.cause.Sentence = f.lock.Sentence()
		}
	} else {
		f.snapshot, f.hasSnapshot = s.evidence(ctx, class)
		f.cause = release.FindCause(f.snapshot, class, said)
		if s.op.State == release.StateCancelled {
			f.leftPending = s.pendingNow()
			if f.leftPending {
				f.lock = s.findLock(ctx)
			}
		}
	}
	if s.op.State == release.StateCancelled {
		f.cause.ErrorType = release.ErrorCancelled
		if result.Signal != 0 && !result.Cancelled {
			f.cause.Sentence = s.killed(result, f)
		}
	}
	s.op.ErrorType = f.cause.ErrorType
	s.op.Cause = oneLine(s.redact(f.cause.Sentence), 1000)
	return f
}

// killed says that somebody else ended Helm, and what that leaves behind.
func (s *session) killed(result helm.Result, f failure) string {
	text := fmt.Sprintf("helm was killed by signal %d (%s)", int(result.Signal), result.Signal)
	if f.lock != nil {
		text += fmt.Sprintf(" and left revision %d of %s/%s %s", f.lock.Revision, f.lock.Namespace, f.lock.Release, f.lock.Status)
	}
	return text
}

// pendingNow reports whether the release is in the middle of an operation now
// that Helm has gone.
func (s *session) pendingNow() bool {
	if r, ok := s.tracker.own(); ok {
		return r.Pending()
	}
	return s.inv.Verb == helm.VerbUninstall || s.inv.Verb == helm.VerbTest
}

// evidence returns the state of the cluster, where there can be any: a failure
// before Helm touched the cluster left none.
func (s *session) evidence(ctx context.Context, class release.ErrorType) (release.Snapshot, bool) {
	w := s.beside.view()
	if w == nil {
		return release.Snapshot{}, false
	}
	_, touched := s.tracker.own()
	switch s.inv.Verb {
	case helm.VerbTest, helm.VerbUninstall:
		touched = class != release.ErrorNotFound && class != release.ErrorUsage
	}
	if !touched {
		return release.Snapshot{}, false
	}
	if s.op.Revision > 0 {
		if snap, ok := w.FailureSnapshot(ctx, s.op.Revision); ok {
			return snap, true
		}
	}
	return kube.TakeSnapshot(ctx, s.beside.client, w.Facts(), kube.SnapshotOptions{Redact: s.redact}), true
}

// findLock tells who holds the release, nil when nobody does or it cannot be read.
func (s *session) findLock(ctx context.Context) *helm.StuckLock {
	if s.beside.client == nil || s.op.Release == "" {
		return nil
	}
	leftBy := s.beside.giveBack(ctx)
	lock, ok, err := kube.FindLock(ctx, s.beside.client, release.Ref{Namespace: s.op.Namespace, Name: s.op.Release},
		s.inv.Target(s.o.Getenv).Driver)
	if err != nil || !ok {
		return nil
	}
	if leftBy != "" && !lock.Alive {
		lock.Holder = leftBy
	}
	return &helm.StuckLock{
		Release: lock.Name, Namespace: lock.Namespace, Revision: lock.Revision, Status: lock.Status, Since: lock.Since,
		Now: time.Now(), LeftBy: s.redact(lock.Holder), Running: lock.Alive, LastDeployed: lock.LastDeployed,
	}
}

// explanation puts what the user reads together.
func (s *session) explanation(f failure, inner release.Operation, hasInner bool, d release.RollbackDecision) explanation {
	x := explanation{
		op: s.op, cause: f.cause, now: time.Now(), color: s.color(), redact: s.redact, trace: s.traceLink(),
	}
	for _, m := range s.beside.missing() {
		x.missing = append(x.missing, s.redact(m))
	}
	x.state, x.next = s.standing(f, inner, hasInner, d)
	return x
}

// standing says how the release stands after the failure, and what to do.
func (s *session) standing(f failure, inner release.Operation, hasInner bool, d release.RollbackDecision) (state string, next []string) {
	if f.cause.Pod != "" && !hasInner && d.Action == release.RollbackNone {
		kubectl := "kubectl -n " + s.op.Namespace
		if f.cause.Container != "" && f.cause.Termination != nil {
			next = append(next, fmt.Sprintf("%s logs %s -c %s --previous", kubectl, f.cause.Pod, f.cause.Container))
		}
		next = append(next, fmt.Sprintf("%s describe pod %s", kubectl, f.cause.Pod))
	}
	prev := 0
	if s.op.PreviousRevision != nil {
		prev = *s.op.PreviousRevision
	}
	helmCmd := func(args []string) string {
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--namespace") }) {
			args = append(args, "--namespace="+s.op.Namespace) // the next shell may not have HELM_NAMESPACE
		}
		return "helm " + strings.Join(args, " ")
	}
	switch {
	case d.Action == release.RollbackToTarget:
		return fmt.Sprintf("rolling back to revision %d, which was deployed before", d.Revision), nil
	case d.Action == release.RollbackByRemoval:
		return "uninstalling: the first install failed, there is nothing to roll back to", nil
	case hasInner && inner.Kind == release.KindUninstall:
		return "Helm uninstalled the release", nil
	case hasInner && inner.State == release.StateSucceeded:
		return fmt.Sprintf("Helm rolled back to revision %d (as revision %d)", inner.RollbackTo, inner.Revision), nil
	case hasInner:
		return fmt.Sprintf("Helm's rollback to revision %d did not succeed", inner.RollbackTo), next
	case f.lock != nil && f.leftPending:
		return fmt.Sprintf("the release was left %s (revision %d)", f.lock.Status, f.lock.Revision),
			append([]string{helmCmd(f.lock.RecoveryArgs())}, next...)
	case f.lock != nil:
		return "nothing was changed", nil // the cause says how to recover
	case s.op.Revision == 0 && s.op.PreviousRevision != nil && s.op.Kind.Deploy():
		if prev > 0 {
			return fmt.Sprintf("nothing was changed, revision %d stays deployed", prev), next
		}
		return "nothing was changed", next
	case s.pendingNow() && s.op.Revision > 0 && s.op.Kind.Deploy():
		// Helm could not write how it ended.
		next = append(next, fmt.Sprintf("helm history %s --namespace=%s", s.op.Release, s.op.Namespace))
		if prev > 0 {
			next = append(next, helmCmd(helm.RollbackArgs(s.inv, s.op.Release, prev)))
		}
		return fmt.Sprintf("revision %d was last seen pending: Helm did not mark it", s.op.Revision), next
	case s.op.Kind.Deploy() && prev > 0 && s.op.Revision > 0:
		return fmt.Sprintf("revision %d is failed; pods of revision %d and of the new one may both run", s.op.Revision, prev),
			append(next, helmCmd(helm.RollbackArgs(s.inv, s.op.Release, prev)))
	case s.op.Kind == release.KindInstall && s.op.Revision > 0:
		return fmt.Sprintf("revision %d is failed; what it created is still there", s.op.Revision),
			append(next, helmCmd(helm.UninstallArgs(s.inv, s.op.Release)))
	}
	return "", next
}

// traceLink is a link to the trace where one is configured, else its id where
// it went anywhere.
func (s *session) traceLink() string {
	if tmpl := s.o.Config.TraceURL; tmpl != "" {
		return strings.NewReplacer(
			"{trace_id}", s.op.TraceID, "{span_id}", s.op.SpanID, "{release}", s.op.Release, "{namespace}", s.op.Namespace,
			"{cluster}", s.op.Cluster, "{start_ms}", fmt.Sprint(s.op.Start.UnixMilli()), "{end_ms}", fmt.Sprint(time.Now().UnixMilli()),
		).Replace(tmpl)
	}
	if s.emitter.Destination() == "" {
		return ""
	}
	return s.op.TraceID
}
