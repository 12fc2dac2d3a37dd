package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/agent"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/otlp"
)

type agentOptions struct {
	streams Streams
	config  agent.Config

	kubeconfig, context string
	cluster             string
	server              string
	identity            string
	logLevel            string
	getenv              func(string) string
}

func newAgentCommand(s Streams) *cobra.Command {
	o := &agentOptions{streams: s, getenv: os.Getenv}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Watch every Helm release of a cluster: operations, events, and why they failed",
		Long: `Watch the Helm releases of a cluster and send each operation as a trace, logs
and metrics, whoever ran Helm: no pipeline has to change. Kubernetes events go
along, stamped with release, revision and trace. What fairlead helm runs is told
once, in its trace.

Telemetry goes where the standard OTEL_* variables say, or to the OTLP/HTTP
address of a fairlead server (--server; FAIRLEAD_TOKEN is its token), through a
queue in --data that outlives a restart and an endpoint that is down.

What the agent was not granted it does without, and names once:
fairlead export rbac agent prints what it needs.`,
		Example: `  fairlead agent --server http://fairlead.fairlead:4318 --cluster-name prod
  OTEL_EXPORTER_OTLP_ENDPOINT=https://otlp.example.com fairlead agent --cluster-name prod
  fairlead agent --namespace shop --namespace payments
  fairlead agent --leader-elect --data /var/lib/fairlead --health :8081`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			if o.getenv("GOGC") == "" && o.getenv("GOMEMLIMIT") == "" {
				debug.SetGCPercent(agentGCPercent)
				go keepSmall(ctx)
			}
			return runAgent(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.config.Namespaces, "namespace", "n", nil, "namespace to watch; may be repeated (default: all)")
	f.StringVar(&o.config.Storage, "storage", "secrets", "where Helm keeps its records: secrets or configmaps")
	f.StringVar(&o.cluster, "cluster-name", "", "name of the cluster, k8s.cluster.name (default: FAIRLEAD_CLUSTER_NAME)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the pod's service account)")
	f.StringVar(&o.context, "kube-context", "", "context of the kubeconfig")
	f.StringVar(&o.server, "server", "", "OTLP/HTTP address of a fairlead server (default: the OTEL_* variables)")
	f.StringVar(&o.config.Data, "data", "", "directory of the queue (default \"fairlead-agent-data\")")
	f.StringVar((*string)(&o.config.Metrics), "metrics", "auto", "metrics of our own: auto, on or off; auto leaves them to a fairlead server")
	f.StringVar((*string)(&o.config.Events), "events", "auto", "Kubernetes events: auto, on or off (off where a Collector sends them)")
	f.StringVar(&o.config.OwnNamespace, "own-namespace", "", "namespace of the checkpoint and of the election's Lease (default: the context's)")
	f.BoolVar(&o.config.LeaderElect, "leader-elect", false, "of several replicas let one work")
	f.StringVar(&o.identity, "identity", "", "name of this process in Leases (default: host and process)")
	f.StringVar(&o.config.Health, "health", "", "address of /healthz and /readyz (default: none)")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func runAgent(ctx context.Context, o *agentOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	if err := o.config.Validate(); err != nil {
		return err
	}
	upstreams, err := o.upstreams()
	if err != nil {
		return err
	}
	client, err := kube.NewClient(kube.ClientOptions{
		Kubeconfig: o.kubeconfig, Context: o.context, ClusterName: o.cluster, Getenv: o.getenv,
		QPS: agent.FetchQPS, Burst: 2 * agent.FetchQPS, UserAgent: "fairlead-agent",
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return agent.Run(ctx, agent.Options{
		Config: o.config, Client: client, Upstreams: upstreams, Server: o.server != "", Identity: o.identity, Version: version,
		Logger: slog.New(slog.NewTextHandler(o.streams.Err, &slog.HandlerOptions{Level: level})),
	})
}

// upstreams returns where telemetry goes: the server, or what the environment
// says.
func (o *agentOptions) upstreams() (map[string]otlp.Upstream, error) {
	if o.server == "" {
		out, err := otlp.UpstreamsFromEnv(o.getenv)
		if err == nil && len(out) == 0 {
			err = errors.New("nowhere to send to: set OTEL_EXPORTER_OTLP_ENDPOINT, or --server to the OTLP/HTTP address of a fairlead server")
		}
		return out, err
	}
	u, err := url.Parse(o.server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server %q: want http(s)://host:port, the server's OTLP/HTTP address (port 4318 unless it was changed)", o.server)
	}
	if u.Port() == "" {
		u.Host += ":4318"
	}
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": strings.TrimSuffix(u.String(), "/")}
	if token := o.getenv("FAIRLEAD_TOKEN"); token != "" {
		env["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=" + url.PathEscape("Bearer "+token)
	}
	for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY", "TIMEOUT", "COMPRESSION"} {
		env["OTEL_EXPORTER_OTLP_"+name] = o.getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	return otlp.UpstreamsFromEnv(func(name string) string { return env[name] })
}
