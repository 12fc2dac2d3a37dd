package wrapper

import (
	"context"
	"fmt"
	"os"
	"time"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
)

func (s *session) rollbackWanted() bool {
	switch s.o.Config.AutoRollback {
	case "", release.RollbackOff:
		return false
	}
	return release.Kind(s.inv.Verb).Deploy()
}

// decide asks what to do about the failure.
func (s *session) decide(f failure, known bool, result helm.Result) release.RollbackDecision {
	if !s.rollbackWanted() {
		return release.RollbackDecision{Action: release.RollbackNone}
	}
	own, _ := s.tracker.own()
	deployed := s.tracker.deployedBefore()
	return release.AutoRollback(release.RollbackFacts{
		Mode: s.o.Config.AutoRollback, Kind: s.op.Kind, Failed: result.ExitCode != 0,
		Cancelled: s.op.State == release.StateCancelled, DryRun: s.inv.DryRun, Atomic: s.inv.Atomic,
		ErrorType: f.cause.ErrorType, Known: known, Revision: own.Revision, Status: own.Status,
		Deployed: deployed, DeployedExists: s.tracker.exists(deployed), Latest: s.tracker.latest(),
	})
}

// rollBack does what was decided, as a child of the operation's span, and
// returns the operation that it was. Helm's exit code stays that of the user's
// own command.
func (s *session) rollBack(ctx context.Context, d release.RollbackDecision) release.Operation {
	op := release.Operation{
		Command: helm.VerbRollback, Kind: release.KindRollback, State: release.StateRunning,
		Observers: []release.Observer{release.ObserverWrapper}, Cluster: s.op.Cluster, Namespace: s.op.Namespace, Release: s.op.Release,
		RollbackTo: d.Revision, ChartName: s.op.ChartName, Wait: s.op.Wait,
		Start: time.Now(), Automatic: true, ParentID: s.op.ID, Extra: s.op.Extra,
	}
	failed := s.op.Revision
	op.PreviousRevision = &failed
	args := helm.RollbackArgs(s.inv, s.op.Release, d.Revision)
	if d.Action == release.RollbackByRemoval {
		op.Command, op.Kind, op.RollbackTo = helm.VerbUninstall, release.KindUninstall, 0
		args = helm.UninstallArgs(s.inv, s.op.Release)
		if own, ok := s.tracker.own(); ok {
			op.ID, op.Revision = release.UninstallID(own.UID), own.Revision
		}
	}
	spanCtx, span := s.emitter.Start(s.ctx, release.SpanName(op.Command), op.Start)
	op.TraceID, op.SpanID = emit.IDsOf(spanCtx)
	s.emitter.Operation(spanCtx, op)

	result, err := helm.Run(context.WithoutCancel(ctx), helm.RunOptions{
		Path: s.o.Helm, Args: args, Env: s.emitter.Environment(spanCtx, helm.ChildEnv(s.o.Env)),
		// Helm's stdout is the user's; what this Helm prints is ours.
		Stdout: s.stderrFile(), Stderr: s.console,
	})
	if err != nil {
		result = helm.Result{ExitCode: exitCannotRun, End: time.Now(), Stderr: err.Error()}
	}
	op.End, op.ExitCode, op.State = result.End, &result.ExitCode, release.StateSucceeded
	if op.Kind == release.KindRollback {
		s.bindRollback(ctx, &op)
	}
	if result.ExitCode != 0 {
		class, said := helm.Invocation{Verb: string(op.Kind)}.Classify(result.ExitCode, result.Stderr, result.Cancelled)
		op.State, op.ErrorType, op.Cause = release.StateFailed, class, s.redact(said)
		if result.Cancelled || result.Signal != 0 {
			op.State = release.StateCancelled
		}
	}
	if op.ID == "" {
		op.ID = release.UnboundID(op.TraceID, op.SpanID)
	}
	s.emitter.Operation(spanCtx, op)
	if w := s.beside.view(); w != nil {
		s.emitter.Steps(spanCtx, w.Steps(op.Start, op.End), s.redact)
	}
	if op.State != release.StateSucceeded {
		s.emitter.Failed(spanCtx, op)
	}
	emit.EndOperation(span, op)
	s.console.Print(s.outputs.rolledBack(s, op))
	return op
}

// stderrFile is the file behind our stderr, for a Helm whose stdout goes there.
func (s *session) stderrFile() *os.File {
	if f, ok := s.o.Stderr.(*os.File); ok {
		return f
	}
	return os.Stderr
}

// bindRollback completes a rollback with the record that it made.
func (s *session) bindRollback(ctx context.Context, op *release.Operation) {
	ctx, cancel := context.WithTimeout(ctx, settleBound)
	defer cancel()
	s.tracker.wait(ctx, func() bool {
		r, _, ok := s.tracker.rollback()
		return ok && !r.Pending()
	})
	if r, _, ok := s.tracker.rollback(); ok {
		bindRecord(op, r, r.Status)
	}
}

// helmsOwnRollback returns what --atomic or --rollback-on-failure did: a
// rollback to be seen from its record, or the removal of a first install.
func (s *session) helmsOwnRollback() (release.Operation, bool) {
	if !s.inv.Atomic || s.op.State == release.StateSucceeded {
		return release.Operation{}, false
	}
	op := release.Operation{
		Observers: []release.Observer{release.ObserverWrapper}, Cluster: s.op.Cluster, Namespace: s.op.Namespace, Release: s.op.Release,
		ChartName: s.op.ChartName, ChartVersion: s.op.ChartVersion, Automatic: true, ParentID: s.op.ID, Extra: s.op.Extra,
		End: s.op.End, State: release.StateSucceeded,
	}
	failed := s.op.Revision
	op.PreviousRevision = &failed
	if r, at, ok := s.tracker.rollback(); ok {
		op.Command, op.Kind, op.Start = helm.VerbRollback, release.KindRollback, at
		bindRecord(&op, r, r.Status)
		if r.Status != "deployed" {
			op.State, op.ErrorType = release.StateFailed, release.ErrorOther
			op.Cause = fmt.Sprintf("Helm's own rollback left revision %d %s", r.Revision, r.Status)
		}
	} else if at, purged := s.tracker.purged(); purged {
		op.Command, op.Kind, op.Start = helm.VerbUninstall, release.KindUninstall, at
		if own, ok := s.tracker.own(); ok {
			op.ID, op.Revision = release.UninstallID(own.UID), own.Revision
		}
	} else {
		return release.Operation{}, false
	}
	if op.End.Before(op.Start) {
		op.Start = op.End
	}
	return op, true
}

// writeInner writes the span, steps and record of Helm's own rollback.
func (s *session) writeInner(op release.Operation) {
	ctx, span := s.emitter.Start(s.ctx, release.SpanName(op.Command), op.Start)
	op.TraceID, op.SpanID = emit.IDsOf(ctx)
	if op.ID == "" {
		op.ID = release.UnboundID(op.TraceID, op.SpanID)
	}
	s.emitter.Operation(ctx, op)
	if w := s.beside.view(); w != nil {
		s.emitter.Steps(ctx, w.Steps(op.Start, op.End), s.redact)
	}
	if op.State != release.StateSucceeded {
		s.emitter.Failed(ctx, op)
	}
	emit.EndOperation(span, op)
}
