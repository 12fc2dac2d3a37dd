package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/agent"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/server"
)

// companions are what runs beside the server in its process.
type companions struct {
	agent, controller bool
	namespaces        []string
	cluster           string
}

func (c *companions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.agent, "agent", false, "run an agent in the same process")
	f.BoolVar(&c.controller, "controller", false, "run a controller in the same process")
	f.StringArrayVarP(&c.namespaces, "namespace", "n", nil, "namespace that --agent and --controller watch; may be repeated (default: all)")
	f.StringVar(&c.cluster, "cluster-name", "", "name of the cluster of --agent and --controller (default: FAIRLEAD_CLUSTER_NAME)")
}

// startCompanions starts what was asked for, until ctx ends. failed delivers the
// error of one that could not go on; wait returns when all have ended.
func (o *serverOptions) startCompanions(ctx context.Context, cfg *config.Server, srv *server.Server) (failed <-chan error, wait func()) {
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	run := func(name string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				errs <- fmt.Errorf("--%s: %w", name, err)
			}
		})
	}
	scheme := "http"
	if cfg.Listen.TLS != nil {
		scheme = "https"
	}
	otlp := ""
	if _, address := srv.OTLPAddrs(); address != "" {
		otlp = scheme + "://" + reachable(address)
	}
	if o.inside.agent {
		run("agent", func() error {
			if otlp == "" {
				return errors.New("it sends OTLP over HTTP to this server, where listen.otlpHttp is off")
			}
			return runAgent(ctx, &agentOptions{
				streams: o.streams, kubeconfig: o.kubeconfig, context: o.context, cluster: o.inside.cluster, server: otlp, logLevel: o.logLevel, getenv: os.Getenv,
				config: agent.Config{Namespaces: o.inside.namespaces, Data: filepath.Join(cfg.Store.Dir, "agent")},
			})
		})
	}
	if o.inside.controller {
		run("controller", func() error {
			if err := sendTo(otlp); err != nil {
				return err
			}
			return runController(ctx, &controllerOptions{
				streams: o.streams, kubeconfig: o.kubeconfig, context: o.context, namespaces: o.inside.namespaces, cluster: o.inside.cluster, logLevel: o.logLevel,
				server:      serverFlags{url: scheme + "://" + reachable(srv.HTTPAddr()) + cfg.Listen.BasePath},
				leaderElect: true, lease: 15 * time.Second, metrics: "0", health: "0", drain: 10 * time.Second, workers: 8,
			})
		})
	}
	return errs, wg.Wait
}

// sendTo makes an endpoint the one for what reads the OTEL_ variables, unless
// somebody has set another.
func sendTo(otlp string) error {
	if otlp == "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		return nil
	}
	if token := os.Getenv("FAIRLEAD_TOKEN"); token != "" && os.Getenv("OTEL_EXPORTER_OTLP_HEADERS") == "" {
		if err := os.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization="+url.PathEscape("Bearer "+token)); err != nil {
			return err
		}
	}
	return os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp)
}

// reachable is the address of a listener for this machine's own use.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
