package release

import (
	"fmt"
	"slices"
	"strings"
)

// Cause is why an operation failed.
type Cause struct {
	ErrorType ErrorType `json:"error_type"`
	// Sentence is the cause in one sentence: which object, which reason, the
	// last event, how the container ended. Empty only when nobody said anything.
	Sentence string `json:"sentence"`
	// Object is the release's object that failed (a workload, hook or claim);
	// zero when the cluster showed nothing.
	Object ObjectRef `json:"object,omitzero"`
	// Pod and Container are where it failed; empty when no pod did.
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	// Reason is one word of Kubernetes' own (CrashLoopBackOff, FailedScheduling).
	Reason      string       `json:"reason,omitempty"`
	LastEvent   *Event       `json:"last_event,omitempty"`
	Termination *Termination `json:"termination,omitempty"`
	Log         *LogTail     `json:"log,omitempty"`
}

// FindCause returns why an operation failed, from the state of the cluster
// (class and words are Helm's: the class of its error and its own last words,
// redacted). The root of the trouble goes before its symptoms: a crash loop
// before a Deployment that is not ready. Where the cluster shows nothing, or
// Helm failed before it changed anything, the sentence is Helm's own.
func FindCause(s Snapshot, class ErrorType, words string) Cause {
	own := Cause{ErrorType: class, Sentence: clip(words, 2*quoteLength)}
	switch class {
	case ErrorLock, ErrorTemplate, ErrorOwnership, ErrorForbidden, ErrorInvalid, ErrorNotFound,
		ErrorExists, ErrorChartFetch, ErrorUsage:
		return own
	}
	suspects := suspectsOf(s.Facts)
	if class == ErrorHook {
		if hooks := slices.DeleteFunc(slices.Clone(suspects), func(x suspect) bool { return !x.hook }); len(hooks) > 0 {
			suspects = hooks
		}
	}
	if len(suspects) == 0 {
		return own
	}
	worst := suspects[0]
	for _, x := range suspects[1:] {
		if x.order() < worst.order() {
			worst = x
		}
	}
	if class == ErrorUnreachable && !worst.trouble.hard() {
		return own
	}
	c := Cause{
		ErrorType: class, Object: worst.object, Reason: worst.trouble.Reason, Pod: worst.pod,
		Container: worst.trouble.Container, LastEvent: worst.trouble.Event, Termination: worst.trouble.Termination,
	}
	if worst.pod != "" && c.Container != "" {
		if tail, ok := s.LogOf(worst.pod, c.Container); ok {
			c.Log = &tail
		}
	}
	last := ""
	if worst.trouble.rank == rankCrash { // probes, limits and the runtime have had their say already
		last = c.lastWords()
	}
	c.Sentence = worst.sentence(last)
	if class == ErrorCancelled {
		c.Sentence = "cancelled while " + c.Sentence
	}
	return c
}

// lastWords are what the container said at its end: the last line of its
// termination message, or else of its log.
func (c Cause) lastWords() string {
	if c.Termination == nil {
		return ""
	}
	if lines := strings.Split(strings.TrimSpace(c.Termination.Message), "\n"); lines[len(lines)-1] != "" {
		return lines[len(lines)-1]
	}
	if c.Log != nil {
		for _, line := range slices.Backward(c.Log.Lines) {
			if strings.TrimSpace(line) != "" {
				return line
			}
		}
	}
	return ""
}

// suspect is an object of the release that is not as it should be.
type suspect struct {
	object  ObjectRef
	hook    bool
	state   string // "is not ready (1/3 ready)"
	pod     string
	trouble Trouble
}

func (x suspect) order() int { return x.trouble.order() }

func (x suspect) sentence(last string) string {
	subject := x.object.String()
	if x.hook {
		subject = "hook " + subject
	}
	text := fmt.Sprintf("%s %s", subject, x.state)
	if x.trouble.Text != "" {
		text += ": " + x.trouble.Text
	}
	if last != "" {
		text += fmt.Sprintf("; it last said %q", clip(last, quoteLength))
	}
	return text
}

// suspectsOf returns everything of the release that is not ready, each with
// the deepest trouble of its own and of its newest pods.
func suspectsOf(f Facts) []suspect {
	ix := indexFacts(f)
	var out []suspect
	for _, w := range f.Workloads {
		if !ix.root(w.Meta) || !w.Deleting.IsZero() || ix.past(w.Meta) {
			continue
		}
		hook := ix.hook(w.Meta)
		ready, text := w.IsReady(ReadyWatcher, ix.newest(w))
		if ready {
			continue
		}
		x := suspect{object: w.ObjectRef, hook: hook, state: "is not ready (" + text + ")"}
		if w.Kind == KindJob {
			x.state = "has not completed (" + text + ")"
			if failed, _ := w.JobFailed(); failed {
				x.state = "failed"
			}
		}
		x.trouble, _ = WorkloadTrouble(w, ix.eventsOf(w))
		for _, p := range ix.newestPods(w) {
			t := ix.troubleOf(p)
			if t.order() < x.order() {
				x.trouble, x.pod = t, p.Name
			}
			for _, c := range ix.claimsOf(p) {
				if ct, ok := ClaimTrouble(c, ix.events[c.UID]); ok && ct.hard() && ct.order() < x.order() {
					x.trouble, x.pod = ct, p.Name
					x.trouble.Text = fmt.Sprintf("%s, which pod %s needs, is not bound (%s)%s", c.String(), p.Name, ct.Reason, said(eventWords(ct.Event)))
				}
			}
		}
		out = append(out, x)
	}
	for _, p := range f.Pods {
		hook := ix.hook(p.Meta)
		if !ix.root(p.Meta) || ix.ownerTracked(p.Meta) || p.Phase == "Succeeded" || !hook && p.Ready() || !p.Deleting.IsZero() || ix.past(p.Meta) {
			continue
		}
		x := suspect{object: p.ObjectRef, hook: hook, state: "is not ready", pod: p.Name, trouble: ix.troubleOf(p)}
		if hook {
			x.state = "has not completed"
		}
		if p.Phase == "Failed" {
			x.state = "failed"
		}
		out = append(out, x)
	}
	for _, c := range f.Claims {
		if t, ok := ClaimTrouble(c, ix.events[c.UID]); ok && !ix.used[c.Name] {
			t.Text = strings.TrimPrefix(t.Text, "it is not bound ")
			out = append(out, suspect{object: c.ObjectRef, state: "is not bound", trouble: t})
		}
	}
	return out
}

func eventWords(e *Event) string {
	if e == nil {
		return ""
	}
	return e.Message
}
