package release

import (
	"slices"
	"strings"
	"time"
)

// entry is a record and the operation that made it.
type entry struct {
	revision          int
	uid, status       string
	first             string // the first status seen
	created, modified time.Time
	seen              time.Time // receipt of the first sight
	initial           bool      // it was there before the observer
	body              *Record
	opaque            bool // its body was asked for and cannot be read
	objects           string

	state State
	ended time.Time // receipt of the final state; zero when it was final at first sight
	cause string    // why it was cancelled
	told  State
	asked bool // its body was asked for

	previous      int
	previousKnown bool

	leaving     time.Time // since when it is being uninstalled
	left        bool      // uninstalled, history kept
	leftSeen    time.Time // receipt of that
	leavingTold State
	undone      bool // the removal was begun by the install itself
}

// turn takes a status of the record.
func (e *entry) turn(status string, o Observation) {
	e.status = status
	end := func(s State) {
		if e.state.Done() {
			return
		}
		if e.state == StateRunning || !o.Initial && !e.initial {
			e.ended = o.At
		}
		e.state = s
	}
	switch status {
	case "pending-install", "pending-upgrade", "pending-rollback":
		if e.state == "" {
			e.state = StateRunning
		}
	case "deployed":
		end(StateSucceeded)
	case "failed":
		end(StateFailed)
	case "superseded":
		switch said := e.said(); {
		case strings.Contains(said, " failed: "):
			end(StateFailed)
		case e.state == StateRunning && (said == "" || strings.HasPrefix(said, "Preparing ") || strings.HasSuffix(said, " underway")):
			e.cause = "another operation took over while it was pending"
			end(StateCancelled)
		default:
			end(StateSucceeded)
		}
	case "uninstalling", "uninstalled":
		if e.state == StateRunning {
			end(StateFailed) // an install that Helm was told to undo is never marked failed
			e.undone = true
		}
		if e.leaving.IsZero() {
			e.leaving = o.At
			if o.Initial && !e.modified.IsZero() {
				e.leaving = apiTime(e.modified, o.At)
			}
			e.undone = e.undone || e.state == StateFailed && !e.ended.IsZero() && o.At.Sub(e.ended) <= byItself && e.kind() == KindInstall
		}
		if status == "uninstalled" {
			e.left, e.leftSeen = true, o.At
		}
	}
}

func (e *entry) said() string {
	if e.body == nil {
		return ""
	}
	return e.body.Description
}

// kind is what the operation was; "" while that cannot be said.
func (e *entry) kind() Kind {
	switch e.first {
	case "pending-install":
		return KindInstall
	case "pending-upgrade":
		return KindUpgrade
	case "pending-rollback":
		return KindRollback
	}
	switch b := e.body; {
	case b == nil:
		return ""
	case b.RollbackTo > 0 || strings.HasPrefix(b.Description, "Rollback "):
		return KindRollback
	case b.FirstDeployed.Equal(b.LastDeployed):
		return KindInstall
	default:
		return KindUpgrade
	}
}

// lastSign is when an operation that nobody ended was last seen at work.
func lastSign(e *entry) time.Time {
	at := e.start()
	if e.modified.After(at) {
		at = e.modified
	}
	if e.body != nil {
		for _, h := range e.body.Hooks {
			if h.Completed.After(at) {
				at = h.Completed
			}
		}
	}
	return at
}

// waits reports whether the operation is not told before its record was read.
func (e *entry) waits(now time.Time) bool {
	return e.body == nil && !e.opaque && (e.kind() == "" || now.Sub(e.seen) < bodyWait)
}

func (e *entry) leavingState() State {
	switch {
	case e.leaving.IsZero():
		return ""
	case e.left:
		return StateSucceeded
	default:
		return StateRunning
	}
}

// start is when the operation began: as it was received, or, of what was there
// before, as the record says; never after it was received, for the clocks of Helm
// and of the API server may be ahead of ours.
func (e *entry) start() time.Time {
	if !e.initial {
		return e.seen
	}
	// The API server's time has whole seconds: two revisions may share one.
	if b := e.body; b != nil && !b.LastDeployed.IsZero() && (!b.LastDeployed.Truncate(time.Second).After(e.created) || e.created.IsZero()) {
		return apiTime(b.LastDeployed, e.seen)
	}
	return apiTime(e.created, e.seen)
}

// end is when it ended.
func (e *entry) end() time.Time {
	start := e.start()
	at := e.ended
	switch {
	case !e.state.Done():
		return time.Time{}
	case !at.IsZero():
	case e.status == "deployed" || e.status == "failed":
		at = apiTime(e.modified, e.seen) // Helm wrote the record last when it ended
	default:
		at = apiTime(lastHook(e), e.seen)
	}
	if at.Before(start) {
		at = start
	}
	return at
}

// lastHook is the best that an old record tells of its operation's end: Helm
// has written it again since.
func lastHook(e *entry) time.Time {
	at := e.created
	if e.body != nil {
		for _, h := range e.body.Hooks {
			if h.Completed.After(at) && !slices.Contains(h.Events, "test") {
				at = h.Completed
			}
		}
	}
	return at
}

// words are Helm's own about the failure: what stands behind `Upgrade "web"
// failed: `.
func (e *entry) words() string {
	said := e.said()
	if _, rest, ok := strings.Cut(said, " failed: "); ok {
		return rest
	}
	if e.undone && !strings.Contains(said, "failed") {
		return "the install was undone by Helm itself"
	}
	return said
}
