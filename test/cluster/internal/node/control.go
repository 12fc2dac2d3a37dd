//go:build linux

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/registry"
)

// Status is the answer of GET /status on the control socket.
type Status struct {
	Phase      Phase       `json:"phase"`
	Step       string      `json:"step,omitempty"`    // what is waited for while starting
	Failure    string      `json:"failure,omitempty"` // why starting failed
	Steps      []Step      `json:"steps"`             // what is done, in order
	Components []Component `json:"components"`
}

// Action is what can be done to a component: POST /components/NAME/ACTION.
type Action string

const (
	// ActionStop ends it by SIGTERM and waits; killed after two seconds.
	ActionStop Action = "stop"
	// ActionKill ends it by SIGKILL.
	ActionKill Action = "kill"
	// ActionStart starts it, and waits until it is ready.
	ActionStart Action = "start"
	// ActionRestart is stop and start.
	ActionRestart Action = "restart"
	// ActionPause freezes its process: connections hang, none is refused.
	ActionPause Action = "pause"
	// ActionResume lets it go on.
	ActionResume Action = "resume"
)

// Actions are all actions.
var Actions = []Action{ActionStop, ActionKill, ActionStart, ActionRestart, ActionPause, ActionResume}

// stopTimeout is how long a component may take to end well. The API server and
// etcd wait for their open watches, which never end here: measured, ten seconds
// are not enough for them, and the others need a tenth of a second.
const stopTimeout = 2 * time.Second

// listen starts the control socket and the registry.
func (n *node) listen() error {
	stores := []image.Store{image.Store(n.config.path("images"))}
	for _, dir := range n.config.Images {
		stores = append(stores, image.Store(dir))
	}
	// What the last run of a crashed node left, if anything.
	if err := os.Remove(n.config.path(SocketFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, s := range []struct {
		network, address string
		handler          http.Handler
	}{
		{"tcp", registryAddress, registry.New(stores...)},
		{"unix", n.config.path(SocketFile), n.control()},
	} {
		listener, err := net.Listen(s.network, s.address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
		// It serves as long as the node lives.
		go func() { log.Fatal(server.Serve(listener)) }()
	}
	return nil
}

func (n *node) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(n.status()); err != nil {
			log.Printf("write status: %v", err)
		}
	})
	mux.HandleFunc("POST /components/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		if err := n.act(r.Context(), r.PathValue("name"), Action(r.PathValue("action"))); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	return mux
}

func (n *node) status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Status{
		Phase: n.phase, Step: n.step, Failure: n.failure,
		Steps: slices.Clone(n.times), Components: n.supervisor.snapshot(n.order),
	}
}

// act does an action; it returns when it is done.
func (n *node) act(ctx context.Context, name string, action Action) error {
	n.mu.Lock()
	starting := n.phase == PhaseStarting
	n.mu.Unlock()
	if starting {
		return errors.New("the cluster is still starting")
	}
	if !slices.Contains(n.order, name) {
		return fmt.Errorf("no component is named %q, want one of %s", name, strings.Join(n.order, ", "))
	}
	stop := func(signal syscall.Signal) error {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return n.supervisor.stop(ctx, name, signal)
	}
	start := func() error {
		if err := n.supervisor.start(name); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		return n.supervisor.waitReady(ctx, name)
	}
	switch action {
	case ActionStop:
		return stop(syscall.SIGTERM)
	case ActionKill:
		return stop(syscall.SIGKILL)
	case ActionStart:
		return start()
	case ActionRestart:
		return errors.Join(stop(syscall.SIGTERM), start())
	case ActionPause:
		return n.supervisor.freeze(name, StateRunning, StatePaused, syscall.SIGSTOP)
	case ActionResume:
		return n.supervisor.freeze(name, StatePaused, StateRunning, syscall.SIGCONT)
	}
	return fmt.Errorf("no action is named %q, want one of %v", action, Actions)
}
