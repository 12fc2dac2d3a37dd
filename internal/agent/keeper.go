package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/rbac"
	"fairlead.dev/fairlead/internal/release"
)

// checkpoint is what the agent remembers over its own end: how far each release
// was told, the claims that it acknowledged, the newest event that was sent. It
// is JSON, compressed, in a ConfigMap.
type checkpoint struct {
	Version  int                        `json:"version"`
	Releases map[string]release.Told    `json:"releases"` // by namespace/name
	Claims   map[string][]rememberClaim `json:"claims,omitempty"`
	// Events is the time of the newest event that was sent.
	Events time.Time `json:"events,omitzero"`
	// Since is set when not all releases fit: what is not named and is older
	// counts as told.
	Since time.Time `json:"since,omitzero"`
}

type rememberClaim struct {
	kube.Claim
	Seen, Gone time.Time
	Acked      bool
}

const checkpointVersion = 1

// eventsEvery is how often the checkpoint is written for the sake of events
// alone.
const eventsEvery = 15 * time.Second

// keeper keeps the checkpoint. It belongs to the goroutine of agent.work.
type keeper struct {
	client    *kube.Client
	namespace string
	logger    *slog.Logger

	before  checkpoint // as it was at the start
	now     checkpoint
	dirty   bool
	noisy   bool // events were sent
	saved   time.Time
	refused bool // it cannot be written, which has been said
	lost    bool // rest was asked for
}

func newKeeper(o Options) *keeper {
	return &keeper{
		client: o.Client, namespace: o.OwnNamespace, logger: o.Logger,
		now: checkpoint{Version: checkpointVersion, Releases: make(map[string]release.Told)},
	}
}

// load reads the checkpoint, and waits for an API server that does not answer.
func (k *keeper) load(ctx context.Context, b *claims) (release.Memory, error) {
	started := time.Now()
	for {
		data, err := kube.ReadCheckpoint(ctx, k.client, k.namespace, rbac.CheckpointName)
		switch {
		case err == nil && data == nil:
			k.dirty = true
			return release.Memory{None: true, Since: started}, nil
		case err == nil:
			if err := k.decode(data, b); err != nil {
				k.logger.Warn("the checkpoint cannot be read and is made anew", "configmap", k.namespace+"/"+rbac.CheckpointName, "error", err)
				return release.Memory{None: true, Since: started}, nil
			}
			return release.Memory{Since: k.before.Since}, nil
		case apierrors.IsForbidden(err):
			k.logger.Warn("missing: get configmaps "+k.namespace+"/"+rbac.CheckpointName+": after a restart, only what ended within the last hour counts", "reason", "forbidden")
			return release.Memory{None: true, Since: started.Add(-time.Hour)}, nil
		}
		k.logger.Warn("read the checkpoint", "error", err)
		select {
		case <-ctx.Done():
			return release.Memory{}, nil
		case <-time.After(2 * time.Second):
		}
	}
}

func (k *keeper) decode(data []byte, b *claims) error {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	plain, err := io.ReadAll(io.LimitReader(z, 64<<20))
	if err != nil {
		return err
	}
	var c checkpoint
	if err := json.Unmarshal(plain, &c); err != nil {
		return err
	}
	if c.Version > checkpointVersion {
		return fmt.Errorf("version %d is newer than %d", c.Version, checkpointVersion)
	}
	k.before, k.now.Events = c, c.Events
	for name, list := range c.Claims {
		for _, r := range list {
			// A Lease that is still there is seen again; until then it counts as renewed.
			b.by[refOf(name)] = append(b.by[refOf(name)], &claim{Claim: r.Claim, Seen: r.Seen, Renewed: time.Now(), Gone: r.Gone, Acked: r.Acked})
		}
	}
	return nil
}

func refOf(name string) release.Ref {
	ns, rel, _ := strings.Cut(name, "/")
	return release.Ref{Namespace: ns, Name: rel}
}

// recall returns what is remembered of a release, nil for nothing.
func (k *keeper) recall(ref release.Ref) *release.Told {
	t, ok := k.before.Releases[ref.String()]
	delete(k.before.Releases, ref.String())
	if !ok {
		return nil
	}
	return &t
}

// rest returns the releases that are remembered and nobody has asked for, once:
// their records are gone. Those in namespaces that are not watched stay as they are.
func (k *keeper) rest(namespaces []string) []release.Ref {
	if k.lost {
		return nil
	}
	k.lost = true
	var out []release.Ref
	for name := range k.before.Releases {
		ref := refOf(name)
		if len(namespaces) == 0 || slices.Contains(namespaces, ref.Namespace) {
			out = append(out, ref)
		} else {
			k.now.Releases[name] = k.before.Releases[name]
		}
	}
	return out
}

// remember takes how far a release has been told.
func (k *keeper) remember(ref release.Ref, l *release.Ledger) {
	t, ok := l.Told()
	if was, had := k.now.Releases[ref.String()]; had == ok && was == t {
		return
	}
	k.dirty = true
	if ok {
		k.now.Releases[ref.String()] = t
	} else {
		delete(k.now.Releases, ref.String())
	}
}

// missed reports whether an event that was there at the start came while nobody
// watched.
func (k *keeper) missed(e release.Event) bool {
	return !k.before.Events.IsZero() && e.Last.After(k.before.Events)
}

func (k *keeper) sent(e release.Event) {
	k.noisy = true
	if e.Last.After(k.now.Events) {
		k.now.Events = e.Last
	}
}

// due reports whether it is time to write.
func (k *keeper) due(b *claims, last bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := time.Since(k.saved)
	return (k.dirty || b.dirty) && (last || age > saveAfter) || k.noisy && (last || age > eventsEvery)
}

// save writes the checkpoint. What cannot be written is said once, and tried
// again with the next change.
func (k *keeper) save(ctx context.Context, b *claims) {
	k.saved = time.Now()
	k.now.Claims = b.remembered()
	if k.now.Events.IsZero() {
		k.now.Events = time.Now() // of what came before, nothing was missed
	}
	data, err := k.encode()
	if err == nil {
		err = kube.WriteCheckpoint(ctx, k.client, k.namespace, rbac.CheckpointName, data)
	}
	if err != nil {
		if !k.refused {
			k.refused = true
			k.logger.Warn("missing: write configmaps "+k.namespace+"/"+rbac.CheckpointName+": a restart will not know what was told", "reason", kube.Why(err))
		}
		return
	}
	k.refused, k.dirty, k.noisy = false, false, false
}

// encode returns the checkpoint within what a ConfigMap takes.
func (k *keeper) encode() ([]byte, error) {
	c := k.now
	for {
		plain, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if _, err := z.Write(plain); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		if buf.Len() <= kube.MaxCheckpoint {
			return buf.Bytes(), nil
		}
		// Some ten thousand releases: a tenth goes, and counts as told.
		names := make([]string, 0, len(c.Releases))
		for name := range c.Releases {
			names = append(names, name)
		}
		slices.Sort(names)
		fewer := make(map[string]release.Told, len(names))
		for _, name := range names[:len(names)*9/10] {
			fewer[name] = c.Releases[name]
		}
		c.Releases, c.Since = fewer, time.Now()
	}
}
