//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/addon"
	"fairlead.dev/fairlead/test/cluster/internal/kubeapi"
	"fairlead.dev/fairlead/test/cluster/internal/pki"
)

// Phase is how far a cluster is.
type Phase string

const (
	// PhaseStarting: not everything answers yet.
	PhaseStarting Phase = "starting"
	// PhaseReady: pods run, DNS and the gateway answer.
	PhaseReady Phase = "ready"
	// PhaseFailed: starting failed.
	PhaseFailed Phase = "failed"
)

// startTimeout is fifteen times what a start takes on two free cores: test
// machines are shared.
const startTimeout = 5 * time.Minute

// node is the running cluster.
type node struct {
	config     Config
	supervisor *supervisor
	order      []string // of the components' start
	fail       context.CancelCauseFunc
	bootCtx    context.Context

	mu      sync.Mutex
	started time.Time
	phase   Phase
	step    string
	failure string
	times   []Step
}

// Step is one part of the start and when it was done.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // since the namespaces were made
}

func newNode(c Config, started time.Time) (*node, error) {
	all, err := components(c)
	if err != nil {
		return nil, err
	}
	n := &node{config: c, started: started, phase: PhaseStarting}
	n.bootCtx, n.fail = context.WithCancelCause(context.Background())
	n.supervisor = newSupervisor(c.path(LogDir), func(err error) {
		log.Print(err)
		n.fail(err)
	})
	for _, c := range all {
		n.supervisor.add(c)
		n.order = append(n.order, c.name)
	}
	return n, nil
}

// start boots and notes how it went.
func (n *node) start() {
	ctx, cancel := context.WithTimeout(n.bootCtx, startTimeout)
	defer cancel()
	err := n.boot(ctx)
	// The component that died says more than the wait that it broke.
	if cause := context.Cause(n.bootCtx); cause != nil && err != nil {
		err = cause
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		log.Printf("start: %v", err)
		n.phase, n.failure = PhaseFailed, err.Error()
		return
	}
	n.phase, n.step = PhaseReady, ""
}

func (n *node) boot(ctx context.Context) error {
	for _, name := range []string{Etcd, Containerd} {
		if err := n.supervisor.start(name); err != nil {
			return err
		}
	}
	for _, name := range []string{Etcd, APIServer} {
		if err := n.startReady(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{ControllerManager, Scheduler, Proxy} {
		if err := n.supervisor.start(name); err != nil {
			return err
		}
	}
	for _, name := range []string{Containerd, Kubelet} {
		if err := n.startReady(ctx, name); err != nil {
			return err
		}
	}
	api, err := n.api()
	if err != nil {
		return err
	}
	if err := n.applyAddons(ctx, api); err != nil {
		return err
	}
	for _, name := range []string{ControllerManager, Scheduler, Proxy} {
		if err := n.startReady(ctx, name); err != nil {
			return err
		}
	}
	return n.awaitObjects(ctx, api)
}

func (n *node) startReady(ctx context.Context, name string) error {
	n.begin("waiting for " + name)
	if err := n.supervisor.start(name); err != nil {
		return err
	}
	if err := n.supervisor.waitReady(ctx, name); err != nil {
		return err
	}
	n.done(name)
	return nil
}

func (n *node) applyAddons(ctx context.Context, api *kubeapi.Client) error {
	n.begin("applying add-ons")
	defer n.done("add-ons applied")
	if err := api.Apply(ctx, addon.DNS()); err != nil {
		return err
	}
	crds, err := os.ReadFile(n.config.CRDs)
	if err != nil {
		return err
	}
	if err := api.Apply(ctx, crds); err != nil || !n.config.Gateway {
		return err
	}
	return api.Apply(ctx, addon.Gateway())
}

// awaitObjects waits until the API says that the cluster works.
func (n *node) awaitObjects(ctx context.Context, api *kubeapi.Client) error {
	const deployments = "/apis/apps/v1/namespaces/kube-system/deployments/"
	waits := []struct{ name, path, condition string }{
		{"node Ready", "/api/v1/nodes/" + Name, "Ready"},
		{"default service account", "/api/v1/namespaces/default/serviceaccounts/default", ""},
		{"CoreDNS available", deployments + "coredns", "Available"},
	}
	if n.config.Gateway {
		waits = append(waits,
			struct{ name, path, condition string }{"Traefik available", deployments + "traefik", "Available"},
			struct{ name, path, condition string }{"Gateway programmed", "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/gateway", "Programmed"})
	}
	for _, w := range waits {
		n.begin("waiting for: " + w.name)
		if err := await(ctx, api, w.path, w.condition); err != nil {
			return fmt.Errorf("waiting for %s: %w; the last lines of the kubelet's log:\n%s",
				w.name, err, LastLines(n.supervisor.logPath(Kubelet), 15))
		}
		n.done(w.name)
	}
	return nil
}

// await waits until the object is there and its condition, if one is named,
// is True. The error is what was seen last.
func await(ctx context.Context, api *kubeapi.Client, path, condition string) error {
	for {
		var o struct {
			Status struct {
				Conditions []struct{ Type, Status, Reason, Message string } `json:"conditions"`
			} `json:"status"`
		}
		err := api.Get(ctx, path, &o)
		if err == nil && condition == "" {
			return nil
		}
		if err == nil {
			err = errors.New("it has no condition " + condition)
		}
		for _, c := range o.Status.Conditions {
			if c.Type != condition {
				continue
			}
			if c.Status == "True" {
				return nil
			}
			err = fmt.Errorf("%s is %s: %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// api returns a client with the admin's certificate.
func (n *node) api() (*kubeapi.Client, error) {
	authority, err := os.ReadFile(n.config.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(n.config.pki("admin.crt"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(n.config.pki("admin.key"))
	if err != nil {
		return nil, err
	}
	return kubeapi.New(Server, authority, pki.Pair{Certificate: cert, Key: key})
}

func (n *node) begin(step string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.step = step
}

func (n *node) done(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, Step{Name: name, Seconds: time.Since(n.started).Seconds()})
}
