package release

import (
	"fmt"
	"strings"
	"time"
)

// factsIndex finds what belongs together in facts.
type factsIndex struct {
	workloads map[string]Workload // by UID
	children  map[string][]Workload
	pods      map[string][]Pod // by the owner's UID
	claims    map[string]Claim // by name
	used      map[string]bool  // claims that a pod mounts
	events    map[string][]Event
	hooks     map[objectName]bool
	since     time.Time                // when the newest revision's record was made
	made      map[objectName]time.Time // when the newest object of a name was made
}

func indexFacts(f Facts) factsIndex {
	ix := factsIndex{
		workloads: make(map[string]Workload), children: make(map[string][]Workload), pods: make(map[string][]Pod),
		claims: make(map[string]Claim), used: make(map[string]bool), events: make(map[string][]Event), hooks: make(map[objectName]bool),
		since: f.Since, made: make(map[objectName]time.Time),
	}
	made := func(m Meta) {
		name := objectName{m.Kind, m.Namespace, m.Name}
		if m.Created.After(ix.made[name]) {
			ix.made[name] = m.Created
		}
	}
	for _, w := range f.Workloads {
		ix.workloads[w.UID] = w
		ix.children[w.Owner.UID] = append(ix.children[w.Owner.UID], w)
		made(w.Meta)
	}
	for _, p := range f.Pods {
		ix.pods[p.Owner.UID] = append(ix.pods[p.Owner.UID], p)
		made(p.Meta)
		for _, c := range p.Claims {
			ix.used[c] = true
		}
	}
	for _, c := range f.Claims {
		ix.claims[c.Name] = c
	}
	for _, e := range f.Events {
		ix.events[e.Object.UID] = append(ix.events[e.Object.UID], e)
	}
	for _, h := range f.Hooks {
		ix.hooks[objectName{h.Kind, h.Namespace, h.Name}] = true
	}
	return ix
}

func (ix factsIndex) hook(m Meta) bool {
	return len(m.Hook) > 0 || ix.hooks[objectName{m.Kind, m.Namespace, m.Name}]
}

// past reports whether a hook ran before the operation that the facts are about:
// it was made before the newest revision's record was, or once more since. Both
// times are the API server's own.
func (ix factsIndex) past(m Meta) bool {
	return ix.hook(m) && (m.Created.Before(ix.since) || m.Created.Before(ix.made[objectName{m.Kind, m.Namespace, m.Name}]))
}

func (ix factsIndex) ownerTracked(m Meta) bool {
	_, ok := ix.workloads[m.Owner.UID]
	return ok
}

// root is as Timeline.isRoot.
func (ix factsIndex) root(m Meta) bool {
	return m.Owner.IsZero() || !ix.ownerTracked(m) && m.Owner.Kind != "CronJob"
}

// newest returns the ReplicaSet of a Deployment's newest template, nil without one.
func (ix factsIndex) newest(d Workload) *Workload {
	var newest *Workload
	if d.Kind != KindDeployment {
		return nil
	}
	for _, w := range ix.children[d.UID] {
		if w.Kind == KindReplicaSet && w.Revision == d.Revision {
			newest = &w
		}
	}
	return newest
}

// newestPods returns the pods of a workload's newest template.
func (ix factsIndex) newestPods(w Workload) []Pod {
	if w.Kind == KindDeployment {
		rs := ix.newest(w)
		if rs == nil {
			return nil
		}
		return ix.pods[rs.UID]
	}
	var out []Pod
	for _, p := range ix.pods[w.UID] {
		if w.Template == "" || p.Template == "" || p.Template == w.Template {
			out = append(out, p)
		}
	}
	return out
}

// troubleOf is PodTrouble, and names the claims for which a pod finds no node.
func (ix factsIndex) troubleOf(p Pod) Trouble {
	t := PodTrouble(p, ix.events[p.UID])
	if t.Reason != ReasonUnschedulable || !strings.Contains(strings.ToLower(t.Text), "persistentvolumeclaim") {
		return t
	}
	for _, c := range ix.claimsOf(p) {
		if c.Phase != "Bound" {
			t.Text += fmt.Sprintf("; %s is %s", c.String(), c.Phase)
			if c.StorageClass != "" {
				t.Text += fmt.Sprintf(" (storage class %q)", c.StorageClass)
			}
		}
	}
	return t
}

func (ix factsIndex) claimsOf(p Pod) []Claim {
	var out []Claim
	for _, name := range p.Claims {
		if c, ok := ix.claims[name]; ok {
			out = append(out, c)
		}
	}
	return out
}

func (ix factsIndex) eventsOf(w Workload) []Event {
	events := append([]Event(nil), ix.events[w.UID]...)
	if rs := ix.newest(w); rs != nil {
		events = append(events, ix.events[rs.UID]...)
	}
	return events
}
