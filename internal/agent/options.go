// Package agent watches the Helm releases of a cluster and tells their
// operations, events and failures as the wrapper does, of pipelines that nobody
// changed too.
//
// [Run] is the whole of it. What it sees comes from package kube; what an
// operation is, [release.Ledger] decides; what it says goes through package emit
// into a queue on disk, and from there to an OTLP endpoint.
package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/otlp"
)

// Choice is a setting that may be left to the agent.
type Choice string

// The choices.
const (
	Auto Choice = "auto"
	On   Choice = "on"
	Off  Choice = "off"
)

// Config is what users choose.
type Config struct {
	Namespaces []string // empty: all
	Storage    string   // secrets (default) or configmaps
	// Metrics is whether the agent sends metrics of its own. Auto: unless it
	// sends to a fairlead server, which derives them.
	Metrics Choice
	// Events is whether Kubernetes events are sent; off where the Collector
	// sends them.
	Events Choice
	// Data is the directory of the queue; default fairlead-agent-data.
	Data string
	// OwnNamespace holds the checkpoint and the Lease of the election; default
	// the namespace of the client's context.
	OwnNamespace string
	LeaderElect  bool
	// Health is the address of /healthz and /readyz; "" for none.
	Health string
}

// Validate names the setting that cannot be used, and its value.
func (c Config) Validate() error {
	if c.Storage != "" && c.Storage != "secrets" && c.Storage != "configmaps" {
		return fmt.Errorf("--storage %q: want secrets or configmaps (records in an SQL database cannot be watched)", c.Storage)
	}
	for name, v := range map[string]Choice{"--metrics": c.Metrics, "--events": c.Events} {
		if v != "" && !slices.Contains([]Choice{Auto, On, Off}, v) {
			return fmt.Errorf("%s %q: want auto, on or off", name, v)
		}
	}
	if slices.Contains(c.Namespaces, "") {
		return errors.New("--namespace \"\": want a name; leave the flag out to watch all namespaces")
	}
	return nil
}

// Options are what [Run] needs.
type Options struct {
	Config
	Client *kube.Client
	// Upstreams are where each signal goes, by signal; see [otlp.UpstreamsFromEnv].
	Upstreams map[string]otlp.Upstream
	// Server tells that they are a fairlead server's.
	Server   bool
	Identity string // of this process; default the host's name
	Version  string
	Logger   *slog.Logger
	Redact   func(string) string // of every free text of the cluster

	queueSizes map[string]int // default the variable of that name; smaller in tests
}

// Tuned times.
const (
	// settle is how long what was seen waits before it is told: claims, bodies
	// of records and events come on streams of their own.
	settle = 1500 * time.Millisecond
	// tick is how often what has settled is told.
	tick = 250 * time.Millisecond
	// saveAfter is how long a change waits for others before the checkpoint is
	// written; of what was told within it, some may be told again after a kill.
	saveAfter = time.Second
	// keepFor is how long the evidence of an operation is kept after its end: a
	// claim that expires is told from it.
	keepFor = 3 * time.Minute
	// skewStep is by how much the difference of clocks must change to be said.
	skewStep = 2 * time.Second
	// snapshotWait bounds the wait for a snapshot that is being taken.
	snapshotWait = 3 * time.Second
	// fetchers and qps read the newest record of thousands of releases at the
	// start within the half minute.
	fetchers = 8
	// FetchQPS is the rate of requests that an agent's client should allow.
	FetchQPS = 400
)
