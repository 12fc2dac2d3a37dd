package release

// maxOwnerDepth bounds the walk up the owners: CronJob, Job, Pod are three; a
// custom resource or two may stand above them.
const maxOwnerDepth = 8

// maxParked bounds how many observations of one object wait for its owner.
// A pod is seen a few times within the milliseconds until its ReplicaSet is.
const maxParked = 16

// Owners tells to which release observed objects belong. Objects of a manifest
// say so themselves, by Helm's annotations; hooks, and claims made by a
// StatefulSet, are named by the record and by their pods; all else belongs to
// what its owner belongs to. Objects arrive in any order: an observation waits
// until its owner is known. It is not safe for concurrent use.
type Owners struct {
	nodes map[string]*ownerNode // by UID
	// named is the release of objects that were named by others.
	named map[objectName]Ref
	// byName finds the living object of a name, for those named after they were seen.
	byName map[objectName]string
	// only is the one release of interest; zero: all are.
	only Ref
}

type objectName struct{ kind, namespace, name string }

type ownerNode struct {
	meta     Meta
	release  Ref
	children map[string]struct{}
	parked   []Observation
	last     Observation
	gone     bool
}

// NewOwners returns an Owners without objects. When only is not zero, no other
// release is of interest.
func NewOwners(only Ref) *Owners {
	return &Owners{
		nodes:  make(map[string]*ownerNode),
		named:  make(map[objectName]Ref),
		byName: make(map[objectName]string),
		only:   only,
	}
}

// Observe takes an observation of an object and returns the observations that
// now are known to belong to a release, in the order in which they were made:
// this one, others that waited for it, or none.
func (w *Owners) Observe(o Observation) []Observation {
	m := o.Meta()
	if m == nil || m.UID == "" {
		return nil
	}
	n := w.node(m.UID)
	n.meta, n.last = *m, o
	if m.Owner.UID != "" {
		w.node(m.Owner.UID).children[m.UID] = struct{}{}
	}
	name := objectName{m.Kind, m.Namespace, m.Name}
	if !o.Deleted {
		w.byName[name] = m.UID
	}
	var out []Observation
	before := n.release
	n.release = w.resolve(n, 0)
	switch {
	case n.release.IsZero() && w.settled(n, 0):
		n.parked = nil // last is enough should somebody name it later
	case n.release.IsZero():
		if len(n.parked) < maxParked {
			n.parked = append(n.parked, o)
		} else {
			n.parked[maxParked-1] = o
		}
	case before == n.release:
		o.Release = n.release
		out = append(out, o)
	default:
		n.parked = append(n.parked, o)
		out = w.release(n, out)
	}
	if o.Pod != nil && !n.release.IsZero() {
		for _, claim := range o.Pod.Claims {
			out = append(out, w.Name(ObjectRef{Kind: KindClaim, Namespace: m.Namespace, Name: claim}, n.release)...)
		}
	}
	if o.Deleted {
		n.gone = true
		if w.byName[name] == m.UID {
			delete(w.byName, name)
		}
		w.bury(m.UID)
	}
	return out
}

// Name records that an object belongs to a release, as a record or a pod says,
// and returns the observations of it and its dependants that waited for that.
func (w *Owners) Name(ref ObjectRef, to Ref) []Observation {
	name := objectName{ref.Kind, ref.Namespace, ref.Name}
	if w.named[name] == to {
		return nil
	}
	w.named[name] = to
	n := w.nodes[w.byName[name]]
	if n == nil || !n.release.IsZero() {
		return nil
	}
	if n.release = w.resolve(n, 0); n.release.IsZero() {
		return nil
	}
	return w.release(n, nil)
}

// Of returns the release to which an object belongs; zero when to none, or not
// known yet.
func (w *Owners) Of(ref ObjectRef) Ref {
	if n := w.nodes[ref.UID]; n != nil && !n.release.IsZero() {
		return n.release
	}
	return w.named[objectName{ref.Kind, ref.Namespace, ref.Name}]
}

// Knows reports whether the object itself has been observed.
func (w *Owners) Knows(uid string) bool {
	n := w.nodes[uid]
	return n != nil && n.meta.UID != ""
}

func (w *Owners) node(uid string) *ownerNode {
	n := w.nodes[uid]
	if n == nil {
		n = &ownerNode{children: make(map[string]struct{})}
		w.nodes[uid] = n
	}
	return n
}

func (w *Owners) resolve(n *ownerNode, depth int) Ref {
	ref := n.meta.Release
	switch {
	case !ref.IsZero():
	case n.meta.Owner.UID != "" && depth < maxOwnerDepth:
		owner := w.node(n.meta.Owner.UID)
		if owner.meta.UID == "" { // not seen, or of a kind that is not watched
			ref = w.named[objectName{n.meta.Owner.Kind, n.meta.Namespace, n.meta.Owner.Name}]
			break
		}
		ref = w.resolve(owner, depth+1)
	default:
		ref = w.named[objectName{n.meta.Kind, n.meta.Namespace, n.meta.Name}]
		hint := Ref{Namespace: n.meta.Namespace, Name: n.meta.Instance}
		if ref.IsZero() && len(n.meta.Hook) > 0 && hint.Name != "" {
			ref = hint
		}
	}
	if !w.only.IsZero() && ref != w.only {
		return Ref{}
	}
	return ref
}

// settled reports whether nothing is to be expected that names the release of
// an object: all its owners have been seen, and it is neither a hook nor a claim.
func (w *Owners) settled(n *ownerNode, depth int) bool {
	if n.meta.UID == "" || len(n.meta.Hook) > 0 || n.meta.Kind == KindClaim {
		return false
	}
	return n.meta.Owner.UID == "" || depth >= maxOwnerDepth || w.settled(w.node(n.meta.Owner.UID), depth+1)
}

// release hands out what waited at a node whose release became known, and at
// its dependants.
func (w *Owners) release(n *ownerNode, out []Observation) []Observation {
	waited := n.parked
	n.parked = nil
	if len(waited) == 0 && n.last.Meta() != nil {
		waited = []Observation{n.last}
	}
	for _, o := range waited {
		o.Release = n.release
		out = append(out, o)
	}
	for uid := range n.children {
		c := w.nodes[uid]
		if c == nil || c.meta.UID == "" {
			continue
		}
		if ref := w.resolve(c, 0); !ref.IsZero() && ref != c.release {
			c.release = ref
			out = w.release(c, out)
		}
	}
	return out
}

// bury drops an object that is gone once all that it owned is: until then the
// others are told by it.
func (w *Owners) bury(uid string) {
	n := w.nodes[uid]
	if n == nil || len(n.children) > 0 || !n.gone && n.meta.UID != "" {
		return // an owner that was never seen goes with the last that it owned
	}
	delete(w.nodes, uid)
	if owner := w.nodes[n.meta.Owner.UID]; owner != nil {
		delete(owner.children, uid)
		w.bury(n.meta.Owner.UID)
	}
}
