package operations

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/news"
)

// maxIndexed bounds the operations that an Index holds, the newest: 30 MB of
// memory, and half a year of ten deployments an hour.
const maxIndexed = 50_000

// Index holds the newest operations and the state of each release in memory,
// so that lists and sums over thousands of operations cost no query each. It is
// safe for concurrent use; what it returns must not be changed.
type Index struct {
	store *Store

	mu       sync.RWMutex
	byKey    map[releaseKey][]release.Operation // newest first
	releases map[releaseKey]Release
	ops      []release.Operation // of all releases, newest first; nil = to be sorted again

	pendingMu sync.Mutex
	pending   map[releaseKey]bool

	// News tells when operations have changed.
	News news.News
}

// NewIndex reads the store into an index that follows it from then on.
func NewIndex(ctx context.Context, s *Store) (*Index, error) {
	x := &Index{store: s, byKey: map[releaseKey][]release.Operation{}, releases: map[releaseKey]Release{}, pending: map[releaseKey]bool{}}
	s.mu.Lock()
	s.indexes = append(s.indexes, x)
	s.mu.Unlock()
	ops, err := s.query(ctx, "WHERE namespace <> '' ORDER BY start_ns DESC, key LIMIT ?", maxIndexed)
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		k := releaseKey{op.Cluster, op.Namespace, op.Release}
		x.byKey[k] = append(x.byKey[k], op)
	}
	for k := range x.byKey {
		if err := x.summarise(ctx, k); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// changed notes that releases must be read again, and tells the watchers.
func (x *Index) changed(keys map[releaseKey]bool) {
	x.pendingMu.Lock()
	defer x.pendingMu.Unlock()
	for k := range keys {
		x.pending[k] = true
	}
	x.News.Tell()
}

// refresh reads the releases that have changed.
func (x *Index) refresh(ctx context.Context) error {
	x.pendingMu.Lock()
	keys := x.pending
	x.pending = map[releaseKey]bool{}
	x.pendingMu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for k := range keys {
		if err := x.read(ctx, k); err != nil {
			x.pendingMu.Lock()
			for k := range keys {
				x.pending[k] = true
			}
			x.pendingMu.Unlock()
			return err
		}
	}
	x.ops = nil
	return nil
}

// read reads one release: its newest operations in place of those it had.
func (x *Index) read(ctx context.Context, k releaseKey) error {
	fresh, err := x.store.query(ctx, "WHERE namespace = ? AND release = ? AND cluster = ? ORDER BY start_ns DESC, key LIMIT ?", k.namespace, k.release, k.cluster, MaxPage)
	if err != nil {
		return err
	}
	if old := x.byKey[k]; len(fresh) == MaxPage && len(old) > 0 {
		// Older ones have not been read again.
		last := fresh[len(fresh)-1].Start
		i, _ := slices.BinarySearchFunc(old, last, func(op release.Operation, t time.Time) int { return t.Compare(op.Start) })
		for i < len(old) && !old[i].Start.Before(last) {
			i++
		}
		fresh = append(fresh, old[i:]...)
	}
	if len(fresh) == 0 {
		delete(x.byKey, k)
		delete(x.releases, k)
		return nil
	}
	x.byKey[k] = fresh
	return x.summarise(ctx, k)
}

func (x *Index) summarise(ctx context.Context, k releaseKey) error {
	r := Summarise(x.byKey[k][:min(len(x.byKey[k]), historyWindow)])
	r.Cluster, r.Namespace, r.Name = k.cluster, k.namespace, k.release
	if err := x.store.addCounts(ctx, &r); err != nil {
		return err
	}
	x.releases[k] = r
	return nil
}

// view calls f with the index up to date and locked for reading.
func (x *Index) view(ctx context.Context, f func()) error {
	if err := x.refresh(ctx); err != nil {
		return err
	}
	x.mu.RLock()
	sorted := x.ops != nil
	x.mu.RUnlock()
	if !sorted {
		x.mu.Lock()
		x.sort()
		x.mu.Unlock()
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	f()
	return nil
}

func (x *Index) sort() {
	if x.ops != nil {
		return
	}
	x.ops = []release.Operation{}
	for _, ops := range x.byKey {
		x.ops = append(x.ops, ops...)
	}
	slices.SortFunc(x.ops, func(a, b release.Operation) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID))
	})
	if len(x.ops) > maxIndexed {
		x.ops = x.ops[:maxIndexed]
	}
}

// Operations returns the operations that began in [from, to), newest first,
// those of the cluster and namespace where they are not empty.
func (x *Index) Operations(ctx context.Context, cluster, namespace string, from, to time.Time) ([]release.Operation, error) {
	var out []release.Operation
	err := x.view(ctx, func() {
		i, _ := slices.BinarySearchFunc(x.ops, to, func(op release.Operation, t time.Time) int {
			if op.Start.Before(t) {
				return 1
			}
			return -1
		})
		for ; i < len(x.ops) && !x.ops[i].Start.Before(from); i++ {
			if op := x.ops[i]; (cluster == "" || op.Cluster == cluster) && (namespace == "" || op.Namespace == namespace) {
				out = append(out, op)
			}
		}
	})
	return out, err
}

// History returns the operations of one release, newest first, and its state;
// ErrNotFound for a release that the store does not know.
func (x *Index) History(ctx context.Context, cluster, namespace, name string) (r Release, ops []release.Operation, err error) {
	k, found := releaseKey{cluster, namespace, name}, false
	err = x.view(ctx, func() {
		ops, found = x.byKey[k]
		r = x.releases[k]
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return r, ops, err
}

// Running returns the operations that have not ended, newest first.
func (x *Index) Running(ctx context.Context, cluster, namespace string) ([]release.Operation, error) {
	var out []release.Operation
	err := x.view(ctx, func() {
		for _, op := range x.ops {
			if !op.State.Done() && (cluster == "" || op.Cluster == cluster) && (namespace == "" || op.Namespace == namespace) {
				out = append(out, op)
			}
		}
	})
	return out, err
}

// Releases returns all releases of the cluster and namespace, where they are
// not empty, in the order of namespace, name and cluster.
func (x *Index) Releases(ctx context.Context, cluster, namespace string) ([]Release, error) {
	var out []Release
	err := x.view(ctx, func() {
		for k, r := range x.releases {
			if (cluster == "" || k.cluster == cluster) && (namespace == "" || k.namespace == namespace) {
				out = append(out, r)
			}
		}
	})
	slices.SortFunc(out, func(a, b Release) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Cluster, b.Cluster))
	})
	return out, err
}

// Clusters returns the clusters of the release name, more than one where it
// stands in several.
func (x *Index) Clusters(ctx context.Context, namespace, name string) ([]string, error) {
	var out []string
	err := x.view(ctx, func() {
		for k := range x.releases {
			if k.namespace == namespace && k.release == name {
				out = append(out, k.cluster)
			}
		}
	})
	slices.Sort(out)
	return out, err
}

// Places returns the names of all clusters and namespaces, sorted, without "".
func (x *Index) Places(ctx context.Context) (clusters, namespaces []string, err error) {
	c, n := map[string]bool{}, map[string]bool{}
	err = x.view(ctx, func() {
		for k := range x.releases {
			c[k.cluster], n[k.namespace] = true, true
		}
	})
	return sortedNames(c), sortedNames(n), err
}

func sortedNames(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		if strings.TrimSpace(k) != "" {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
