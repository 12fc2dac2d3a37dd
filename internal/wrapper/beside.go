package wrapper

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

// leaseBound is how long the end may wait for requests about the Lease: it is a
// courtesy to an agent that may not exist.
const leaseBound = 2 * time.Second

// beside is what runs beside Helm: a client of its own, the watch, the Lease.
// All of it may be missing; then the methods return what "not known" is.
type beside struct {
	client  *kube.Client
	problem string // why there is no client
	tracker *tracker

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	watch *kube.Watch
	finds *kube.Watch // looks for the name of a release that Helm generates
	lease *kube.Lease
	uid   string // of the cluster
	// left is the claim that was there before ours and had expired: whoever made
	// it went without a word.
	left kube.Claim
	// leaseMissing says why there is no Lease, "" when there is one.
	leaseMissing string
}

// besideOptions are the inputs of [startBeside].
type besideOptions struct {
	inv         helm.Invocation
	cluster     string
	getenv      func(string) string
	redact      func(string) string
	tracker     *tracker
	traceparent string // of the operation's span
	run         ci.Run
}

// connect prepares a client with the settings that Helm itself was given. It
// makes no request.
func connect(o besideOptions) *beside {
	b := &beside{tracker: o.tracker}
	t := o.inv.Target(o.getenv)
	kube.SilenceClientLogs() // they would stand among Helm's own lines
	client, err := kube.NewClient(kube.ClientOptions{
		Kubeconfig: t.Kubeconfig, Context: t.KubeContext, APIServer: t.APIServer, Token: t.Token,
		AsUser: t.AsUser, AsGroups: t.AsGroups, CAFile: t.CAFile, TLSServerName: t.TLSServerName,
		Insecure: t.InsecureSkipTLSVerify, Namespace: t.Namespace, ClusterName: o.cluster, Getenv: o.getenv,
	})
	if err != nil {
		b.problem = "cluster: " + o.redact(err.Error())
		return b
	}
	b.client = client
	return b
}

// namespace returns the namespace that Helm uses.
func (b *beside) namespace(inv helm.Invocation, getenv func(string) string) string {
	if b.client != nil {
		return b.client.ContextNamespace()
	}
	if ns := inv.Target(getenv).Namespace; ns != "" {
		return ns
	}
	return "default"
}

// start begins to watch the release ns/tracker.name, or looks for its name
// first, and claims it. It returns at once.
func (b *beside) start(ctx context.Context, ns string, o besideOptions) {
	if b.client == nil {
		return
	}
	ctx, b.cancel = context.WithCancel(ctx)
	if name := b.tracker.releaseName(); name != "" {
		b.follow(ctx, release.Ref{Namespace: ns, Name: name}, o)
	} else {
		b.find(ctx, ns, o)
	}
	b.wg.Go(func() {
		// Costs one request; who lacks the permission has no UID.
		if uid, err := b.client.ClusterUID(ctx); err == nil {
			b.mu.Lock()
			b.uid = uid
			b.mu.Unlock()
		}
	})
}

func (b *beside) follow(ctx context.Context, ref release.Ref, o besideOptions) {
	t := o.inv.Target(o.getenv)
	w := kube.StartWatch(ctx, b.client, kube.WatchOptions{
		Namespaces: []string{ref.Namespace}, Release: ref, Driver: t.Driver, Decode: helm.ReadRecord,
		Ready: readyRule(o.inv), Handler: b.tracker.observe,
		Snapshot: &kube.SnapshotOptions{Redact: o.redact},
	})
	b.mu.Lock()
	b.watch = w
	b.mu.Unlock()
	b.wg.Go(func() { b.claim(ctx, ref, o) })
}

// find watches the namespace's records until one shows the generated name.
func (b *beside) find(ctx context.Context, ns string, o besideOptions) {
	t := o.inv.Target(o.getenv)
	w := kube.StartWatch(ctx, b.client, kube.WatchOptions{
		Namespaces: []string{ns}, Driver: t.Driver, Decode: helm.ReadRecord, Handler: b.tracker.observe,
	})
	b.mu.Lock()
	b.finds = w
	b.mu.Unlock()
	b.wg.Go(func() {
		b.tracker.wait(ctx, func() bool { return b.tracker.releaseName() != "" })
		if name := b.tracker.releaseName(); name != "" && ctx.Err() == nil {
			b.follow(ctx, release.Ref{Namespace: ns, Name: name}, o)
		}
	})
}

// readyRule is the rule by which the Helm that runs calls a workload ready.
func readyRule(inv helm.Invocation) release.ReadyRule {
	if inv.Major == 4 && inv.Wait != "legacy" {
		return release.ReadyWatcher
	}
	return release.ReadyLegacy
}

func (b *beside) claim(ctx context.Context, ref release.Ref, o besideOptions) {
	lease, err := kube.ClaimLease(ctx, b.client, kube.LeaseOptions{
		Release: ref, Holder: holder(o.run), TraceParent: o.traceparent, Command: o.inv.Verb,
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, kube.ErrClaimed):
		b.leaseMissing = "lease: held by another operation"
	case err != nil:
		b.leaseMissing = "lease: " + o.redact(err.Error())
	default:
		b.lease, b.left = lease, lease.Left()
	}
}

// holder names who runs the operation, for whoever finds the release locked.
func holder(run ci.Run) string {
	host, _ := os.Hostname()
	name := "fairlead-helm"
	if host != "" {
		name += " on " + host
	}
	if h := run.Holder(); h != "" {
		name += " (" + h + ")"
	}
	return name
}

// bind writes the operation's identity into the Lease.
func (b *beside) bind(ctx context.Context, id string) {
	b.mu.Lock()
	lease := b.lease
	b.mu.Unlock()
	if lease != nil && id != "" {
		_ = lease.Bind(ctx, id)
	}
}

// acknowledged reports whether an agent in the cluster tells this operation, too.
func (b *beside) acknowledged(ctx context.Context) bool {
	b.mu.Lock()
	lease := b.lease
	b.mu.Unlock()
	if lease == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, leaseBound)
	defer cancel()
	return lease.Acknowledged(ctx) != ""
}

// giveBack ends our claim early: an operation that found the release locked
// must not be taken for the one that holds it. It returns who left a claim
// behind before, "" for nobody.
func (b *beside) giveBack(ctx context.Context) (leftBy string) {
	b.mu.Lock()
	lease := b.lease
	b.lease = nil
	leftBy = b.left.Holder
	b.mu.Unlock()
	if lease != nil {
		_, _ = lease.Release(ctx)
	}
	return leftBy
}

// finish gives the Lease back and reports whether an agent in the cluster tells
// this operation, too.
func (b *beside) finish(ctx context.Context) bool {
	b.mu.Lock()
	lease := b.lease
	b.lease = nil
	b.mu.Unlock()
	if lease == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, leaseBound)
	defer cancel()
	agent, _ := lease.Release(ctx)
	return agent != ""
}

// view returns the watch of the release, nil without one.
func (b *beside) view() *kube.Watch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watch
}

// synced waits until the state before the operation is known, or bound passed.
func (b *beside) synced(ctx context.Context, bound time.Duration) bool {
	b.mu.Lock()
	w := b.watch
	if w == nil {
		w = b.finds
	}
	b.mu.Unlock()
	if w == nil {
		return false
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-w.Synced():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// missing names what could not be seen of the cluster, sorted.
func (b *beside) missing() []string {
	if b.client == nil {
		return []string{b.problem}
	}
	var out []string
	if w := b.view(); w != nil {
		out = append(out, w.Missing()...)
	}
	return out
}

// noLease says why there is no Lease, "" when there is one or none was tried.
func (b *beside) noLease() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leaseMissing
}

// recordsKnown reports whether the release's records could be watched.
func (b *beside) recordsKnown(ctx context.Context) bool {
	w := b.view()
	if w == nil || !b.synced(ctx, time.Millisecond) {
		return false
	}
	return !slices.ContainsFunc(w.Missing(), isAboutRecords)
}

func isAboutRecords(what string) bool {
	for _, prefix := range []string{"secrets", "configmaps", "records"} {
		if len(what) >= len(prefix) && what[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

// clusterUID returns k8s.cluster.uid, "" while or where it is not known.
func (b *beside) clusterUID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.uid
}

// stop ends the watches and gives the Lease back.
func (b *beside) stop(ctx context.Context) {
	if b.client == nil || b.cancel == nil {
		return
	}
	b.mu.Lock()
	watches := []*kube.Watch{b.watch, b.finds}
	b.mu.Unlock()
	b.cancel()
	b.finish(ctx)
	for _, w := range watches {
		if w != nil {
			w.Stop()
		}
	}
	b.wg.Wait()
}
