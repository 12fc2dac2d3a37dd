package kube

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"fairlead.dev/fairlead/internal/release"
)

// ClaimChange is a claim on a release as it was made, renewed or given back.
type ClaimChange struct {
	Release release.Ref
	Claim   Claim
	At      time.Time // receipt
	Gone    bool      // given back; Claim is its last state
}

// ClaimWatch watches the claims of all releases, or of those in chosen
// namespaces.
type ClaimWatch struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	synced chan struct{}

	mu       sync.Mutex
	missing  string
	unsynced int
}

// WatchClaims begins to watch and returns at once; handle is called from one
// goroutine a namespace. Stop must be called.
func WatchClaims(ctx context.Context, c *Client, namespaces []string, handle func(ClaimChange)) *ClaimWatch {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	w := &ClaimWatch{synced: make(chan struct{}), unsynced: len(namespaces)}
	ctx, w.cancel = context.WithCancel(ctx)
	leases := c.typed.CoordinationV1()
	src := typedSource("leases.coordination.k8s.io", &coordinationv1.Lease{},
		func(ns string) lister[*coordinationv1.LeaseList] { return leases.Leases(ns) }, nil)
	src.selector = managedBy
	for _, ns := range namespaces {
		r := &reflection{source: src, namespace: ns, report: w.report, synced: w.sourceSynced, now: time.Now}
		r.store = func(first func()) cache.ReflectorStore {
			return &claimStore{handle: handle, first: first, last: make(map[release.Ref]Claim)}
		}
		w.wg.Go(func() { r.run(ctx) })
	}
	return w
}

// managedBy selects the Leases that are claims: nodes renew theirs every ten
// seconds, each.
const managedBy = "app.kubernetes.io/managed-by=fairlead"

// Synced is closed when the claims that there are have been handed out, or
// cannot be seen.
func (w *ClaimWatch) Synced() <-chan struct{} { return w.synced }

// Missing says why claims cannot be watched, "" when they are.
func (w *ClaimWatch) Missing() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missing
}

// Stop ends the watch and waits until its goroutines are gone.
func (w *ClaimWatch) Stop() {
	w.cancel()
	w.wg.Wait()
}

func (w *ClaimWatch) report(source, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing = ""
	if why != "" {
		w.missing = source + ": " + why
	}
}

func (w *ClaimWatch) sourceSynced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced--; w.unsynced == 0 {
		close(w.synced)
	}
}

// claimStore is the store of a reflector of Leases.
type claimStore struct {
	handle func(ClaimChange)
	first  func()
	last   map[release.Ref]Claim
}

// Add implements [cache.ReflectorStore].
func (s *claimStore) Add(obj any) error { return s.put(obj) }

// Update implements [cache.ReflectorStore].
func (s *claimStore) Update(obj any) error { return s.put(obj) }

// Resync implements [cache.ReflectorStore].
func (s *claimStore) Resync() error { return nil }

// Delete implements [cache.ReflectorStore].
func (s *claimStore) Delete(obj any) error {
	if ref, claim, ok := readClaim(obj); ok {
		delete(s.last, ref)
		s.handle(ClaimChange{Release: ref, Claim: claim, At: time.Now(), Gone: true})
	}
	return nil
}

// Replace implements [cache.ReflectorStore].
func (s *claimStore) Replace(list []any, _ string) error {
	gone := slices.Collect(maps.Keys(s.last))
	for _, obj := range list {
		if ref, _, ok := readClaim(obj); ok {
			gone = slices.DeleteFunc(gone, func(r release.Ref) bool { return r == ref })
		}
		if err := s.put(obj); err != nil {
			return err
		}
	}
	for _, ref := range gone {
		s.handle(ClaimChange{Release: ref, Claim: s.last[ref], At: time.Now(), Gone: true})
		delete(s.last, ref)
	}
	s.first()
	return nil
}

func (s *claimStore) put(obj any) error {
	if ref, claim, ok := readClaim(obj); ok && s.last[ref] != claim {
		s.last[ref] = claim
		s.handle(ClaimChange{Release: ref, Claim: claim, At: time.Now()})
	}
	return nil
}

func readClaim(obj any) (ref release.Ref, claim Claim, ok bool) {
	l, isLease := obj.(*coordinationv1.Lease)
	if !isLease {
		return ref, claim, false
	}
	name, ok := strings.CutPrefix(l.Name, LeaseName(""))
	if !ok || l.Annotations[AnnotationTraceParent] == "" {
		return ref, claim, false
	}
	return release.Ref{Namespace: l.Namespace, Name: name}, claimOf(l), true
}
