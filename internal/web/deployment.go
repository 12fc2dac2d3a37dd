package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

type deploymentData struct {
	Op        release.Operation
	Took      time.Duration // until now while it runs
	P99       float64
	BaselineN int
	Parent    *release.Operation  // the deployment that this rollback belongs to
	Caused    []release.Operation // the rollbacks that this deployment caused
	Facts     []fact

	Cards     []failCard
	CardState State

	Waterfall      *waterfall
	WaterfallState State

	Events     []event
	Troubles   []event // warnings, gathered, where the events are many
	EventState State

	Snapshot      *release.Snapshot
	SnapshotAt    time.Time
	SnapshotText  string
	SnapshotState State
}

// Ratio is how many times the baseline the operation took; 0 = not known.
func (d deploymentData) Ratio() float64 {
	if d.BaselineN < baselineMin || d.P99 <= 0 {
		return 0
	}
	return d.Took.Seconds() / d.P99
}

// fact is an attribute of the operation.
type fact struct{ Name, Value, URL string }

// failCard is an object that failed with its evidence.
type failCard struct {
	Object  string
	Reason  string
	Text    string
	Event   *release.Event
	Log     *release.LogTail
	Ended   *release.Termination
	Primary bool
}

func (s *site) deployment(r *http.Request, p *page) error {
	ctx := r.Context()
	op, err := s.o.Operations.Operation(ctx, r.PathValue("id"))
	if errors.Is(err, operations.ErrNotFound) {
		return notFound("The server has no record of an operation %s.", r.PathValue("id"))
	}
	if err != nil {
		return err
	}
	if err := s.places(ctx, p); err != nil {
		return err
	}
	p.Name, p.Title = "deployment", fmt.Sprintf("%s of %s", op.Kind, op.Release)
	if !op.State.Done() || p.Now.Sub(op.End) < 10*time.Minute {
		p.Live = "operations" // a rollback or a snapshot may follow
	}
	d := deploymentData{Op: op, Took: op.Duration(), Facts: factsOf(op)}
	if !op.State.Done() {
		d.Took = p.Now.Sub(op.Start)
	}
	if _, history, err := s.o.Index.History(ctx, op.Cluster, op.Namespace, op.Release); err == nil {
		d.P99, d.BaselineN = baseline(history, op)
		for _, one := range history {
			if one.ParentID == op.ID && one.ID != op.ID {
				d.Caused = append(d.Caused, one)
			}
			if op.ParentID != "" && one.ID == op.ParentID {
				d.Parent = &one
			}
		}
	}
	s.snapshot(ctx, &d)
	d.Waterfall, d.WaterfallState = s.trace(ctx, op.TraceID)
	d.Events, d.EventState = s.operationEvents(ctx, op, p.Now)
	d.Troubles = troublesOf(d.Events)
	p.Data = d
	return nil
}

// snapshot reads the state of the cluster at the failure, and what failed there.
func (s *site) snapshot(ctx context.Context, d *deploymentData) {
	ok := d.Op.State == release.StateSucceeded
	body, at, err := s.o.Operations.Snapshot(ctx, d.Op.ID)
	switch {
	case errors.Is(err, operations.ErrNotFound) && ok:
		d.SnapshotState = calm("A snapshot is taken when an operation fails; this one did not.")
		d.CardState = d.SnapshotState
		return
	case errors.Is(err, operations.ErrNotFound) && !d.Op.State.Done():
		d.SnapshotState = calm("A snapshot is taken if the operation fails.")
		d.CardState = d.SnapshotState
		return
	case errors.Is(err, operations.ErrNotFound):
		d.SnapshotState = empty("Nobody took a snapshot of the cluster at this failure.", "fairlead helm takes one with the user's own access; the agent takes one where Helm ran without fairlead.")
		d.CardState = d.SnapshotState
		return
	case err != nil:
		d.SnapshotState = failed(err)
		d.CardState = d.SnapshotState
		return
	}
	d.SnapshotAt = at
	var snap release.Snapshot
	if err := json.Unmarshal([]byte(body), &snap); err != nil {
		d.SnapshotText = body
		d.SnapshotState = partial("The snapshot is not in fairlead's form; it is shown as it came.")
		d.CardState = empty("The snapshot is not in fairlead's form.", "")
		return
	}
	d.Snapshot = &snap
	if missing := strings.Join(snap.Missing, "; "); missing != "" {
		d.SnapshotState = partial("Could not be read: " + missing + ".")
		if strings.Contains(missing, "forbidden") {
			d.SnapshotState = forbidden("Could not be read: "+missing+".", "Grant what fairlead export rbac lists.")
		}
	}
	d.Cards = cardsOf(snap, d.Op)
	if len(d.Cards) == 0 {
		d.CardState = empty("Nothing in the cluster was in trouble when the snapshot was taken.", "Helm's own words are the cause above.")
	}
}

// maxCards is how many failed objects are shown: the first tell most.
const maxCards = 6

func cardsOf(snap release.Snapshot, op release.Operation) []failCard {
	cause := release.FindCause(snap, op.ErrorType, op.Cause)
	var cards []failCard
	if !cause.Object.IsZero() || cause.Pod != "" {
		name := cause.Object.String()
		if cause.Pod != "" && cause.Object.Kind != release.KindPod {
			name = strings.TrimSpace(name + ", pod " + cause.Pod)
		}
		cards = append(cards, failCard{Object: name, Reason: cause.Reason, Text: cause.Sentence, Event: cause.LastEvent, Log: cause.Log, Ended: cause.Termination, Primary: true})
	}
	for _, f := range snap.Failing() {
		if f.Pod == cause.Pod && (f.Container == cause.Container || cause.Container == "") || len(cards) >= maxCards {
			continue
		}
		card := failCard{Object: "Pod " + f.Pod + ", container " + f.Container}
		if tail, ok := snap.LogOf(f.Pod, f.Container); ok {
			card.Log = &tail
		}
		for _, pod := range snap.Pods {
			if pod.Name != f.Pod {
				continue
			}
			events := eventsOf(snap, pod.ObjectRef)
			t := release.PodTrouble(pod, events)
			card.Reason, card.Text, card.Event, card.Ended = t.Reason, t.Text, t.Event, t.Termination
		}
		cards = append(cards, card)
	}
	for _, w := range snap.Workloads {
		if t, ok := release.WorkloadTrouble(w, eventsOf(snap, w.ObjectRef)); ok && w.ObjectRef.Name != cause.Object.Name && len(cards) < maxCards {
			cards = append(cards, failCard{Object: w.String(), Reason: t.Reason, Text: t.Text, Event: t.Event, Ended: t.Termination})
		}
	}
	return cards
}

func eventsOf(snap release.Snapshot, ref release.ObjectRef) (out []release.Event) {
	for _, e := range snap.Events {
		if e.Object.Kind == ref.Kind && e.Object.Name == ref.Name {
			out = append(out, e)
		}
	}
	return out
}

// eventSlack is how long before and after an operation its events may come:
// clocks differ, and pods fail on.
const eventSlack = 2 * time.Minute

// operationEvents are the events that were stamped with the operation, or with
// its trace.
func (s *site) operationEvents(ctx context.Context, op release.Operation, now time.Time) ([]event, State) {
	if op.Start.IsZero() {
		return nil, empty("When the operation began is not known.", "")
	}
	to := op.End.Add(eventSlack)
	if !op.State.Done() {
		to = now.Add(time.Minute)
	}
	traceID, hasTrace := traceKey(op.TraceID)
	out, any, err := s.searchEvents(ctx, telemetry.LogQuery{From: op.Start.Add(-eventSlack), To: to, Limit: 200, OldestFirst: true}, func(l *telemetry.StoredLog) bool {
		return attribute(l, release.AttrID) == op.ID || hasTrace && l.TraceID == traceID
	})
	switch {
	case err != nil:
		return out, failed(err)
	case len(out) == 0 && !any:
		return nil, empty("No Kubernetes event came in during this operation.", "The wrapper and the agent send them, where they may read events.")
	case len(out) == 0:
		return nil, empty("No event of that time belongs to this operation.", "")
	case len(out) == 200:
		return out, partial("The first 200 events are shown.")
	}
	return out, State{}
}

// fewEvents are shown all; of more, the warnings.
const fewEvents = 12

// troublesOf gathers the warnings among many events, oldest first as they are.
func troublesOf(events []event) (out []event) {
	if len(events) <= fewEvents {
		return nil
	}
	for _, e := range slices.Backward(events) {
		if e.Type == "Warning" {
			out = append(out, e)
		}
	}
	out = gather(out)
	slices.Reverse(out)
	return out
}

func factsOf(op release.Operation) []fact {
	var out []fact
	put := func(name, value string) {
		if value != "" {
			out = append(out, fact{Name: name, Value: value})
		}
	}
	put("Cluster", op.Cluster)
	put("Namespace", op.Namespace)
	put("Chart", strings.TrimSuffix(op.ChartName+" "+op.ChartVersion, " "))
	put("App version", op.AppVersion)
	if op.PreviousRevision != nil {
		put("Revision", fmt.Sprintf("%s from %d", revision(op.Revision), *op.PreviousRevision))
	} else if op.Revision > 0 {
		put("Revision", revision(op.Revision))
	}
	if op.ExitCode != nil {
		put("Helm's exit code", fmt.Sprint(*op.ExitCode))
	}
	put("Waits for", op.Wait)
	put("Class of failure", string(op.ErrorType))
	observers := make([]string, len(op.Observers))
	for i, o := range op.Observers {
		observers[i] = string(o)
	}
	put("Seen by", strings.Join(observers, ", "))
	keys := make([]string, 0, len(op.Extra))
	for k := range op.Extra {
		if strings.HasPrefix(k, "cicd.") || strings.HasPrefix(k, "vcs.") || strings.HasPrefix(k, "deployment.environment") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		f := fact{Name: k, Value: op.Extra[k]}
		if strings.HasPrefix(f.Value, "https://") || strings.HasPrefix(f.Value, "http://") {
			f.URL = f.Value
		}
		out = append(out, f)
	}
	return out
}

func revision(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
