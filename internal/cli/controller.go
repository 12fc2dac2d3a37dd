package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/controller"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

type controllerOptions struct {
	streams Streams

	kubeconfig, context string
	namespaces          []string
	cluster             string

	server     serverFlags
	prometheus string
	tempo      string
	jaeger     string

	slack, webhook, webhookKey string

	leaderElect     bool
	leaderNamespace string
	lease           time.Duration
	metrics, health string
	drain           time.Duration
	workers         int
	logLevel        string
}

func newControllerCommand(s Streams) *cobra.Command {
	o := &controllerOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Drive the CanaryReleases of a cluster through their gates, and back",
		Long: `Run the controller: it moves the weights of the routes that CanaryReleases name,
step by step, as the analysis of the telemetry allows, and takes a canary that
harms back to 0 without a human. Its state is in the cluster: it may end at any
time, and whoever comes next goes on.

A CanaryRelease may name its own source of samples and traces; --server, or
--prometheus and --tempo, are asked for those that name none. Tokens come from
FAIRLEAD_TOKEN and FAIRLEAD_TRACES_TOKEN. Spans and records go where the OTEL_
variables say. Secrets in flags are given as env:NAME or file:PATH.`,
		Example: `  fairlead controller --server http://fairlead.fairlead:8484
  fairlead controller --prometheus http://prometheus:9090 --tempo http://tempo:3200
  fairlead controller --namespace shop --leader-elect=false --notify-slack file:/etc/fairlead/slack`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runController(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig; KUBECONFIG, or the pod's service account")
	f.StringVar(&o.context, "kube-context", "", "context of the kubeconfig")
	f.StringArrayVarP(&o.namespaces, "namespace", "n", nil, "namespace to watch; may be repeated (default: the whole cluster)")
	f.StringVar(&o.cluster, "cluster-name", "", "name of the cluster in records; FAIRLEAD_CLUSTER_NAME")
	o.server.bind(cmd)
	f.StringVar(&o.prometheus, "prometheus", os.Getenv("PROMETHEUS_URL"), "URL of a Prometheus to ask instead of the fairlead server; PROMETHEUS_URL")
	f.StringVar(&o.tempo, "tempo", os.Getenv("TEMPO_URL"), "URL of a Tempo to ask instead of the fairlead server; TEMPO_URL")
	f.StringVar(&o.jaeger, "jaeger", os.Getenv("JAEGER_URL"), "URL of a Jaeger query service to ask instead; JAEGER_URL")
	f.StringVar(&o.slack, "notify-slack", "", "Slack webhook to tell of the end of rollouts, as env:NAME or file:PATH")
	f.StringVar(&o.webhook, "notify-webhook", "", "webhook to tell of the end of rollouts: a URL, env:NAME or file:PATH")
	f.StringVar(&o.webhookKey, "notify-webhook-key", "", "key that signs what --notify-webhook gets, as env:NAME or file:PATH")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "only one controller of several acts")
	f.StringVar(&o.leaderNamespace, "leader-namespace", "", "namespace of the Lease (default: the pod's, or default)")
	f.DurationVar(&o.lease, "lease-duration", 15*time.Second, "how long another controller waits for one that is gone")
	f.StringVar(&o.metrics, "metrics", "127.0.0.1:8080", "address of /metrics, or 0 for none")
	f.StringVar(&o.health, "health", "127.0.0.1:8081", "address of /healthz and /readyz, or 0 for none")
	f.DurationVar(&o.drain, "drain", 10*time.Second, "how long a track without traffic keeps its pods as they are")
	f.IntVar(&o.workers, "workers", 8, "CanaryReleases reconciled at once")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func runController(ctx context.Context, o *controllerOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	for flag, d := range map[string]time.Duration{"lease-duration": o.lease, "drain": o.drain} {
		if d <= 0 {
			return fmt.Errorf("--%s %s: want a duration above 0", flag, d)
		}
	}
	if o.workers < 1 || o.workers > 100 {
		return fmt.Errorf("--workers %d: want 1 to 100", o.workers)
	}
	options := controller.Options{
		Namespaces: o.namespaces, LeaderElection: o.leaderElect, LeaderNamespace: o.leaderNamespace, LeaseDuration: o.lease,
		Metrics: o.metrics, Health: o.health, Drain: o.drain, Workers: o.workers,
	}
	var err error
	if options.Prometheus, options.Traces, err = o.backends(); err != nil {
		return err
	}
	if options.Notify, err = o.receivers(); err != nil {
		return err
	}
	cluster, err := kube.NewClient(kube.ClientOptions{
		Kubeconfig: o.kubeconfig, Context: o.context, ClusterName: o.cluster, QPS: 100, Burst: 200, UserAgent: "fairlead-controller/" + version,
	})
	if err != nil {
		return err
	}
	options.Cluster = cluster.ClusterName()
	logger := slog.New(slog.NewTextHandler(o.streams.Err, &slog.HandlerOptions{Level: level}))
	options.Logger = logr.FromSlogHandler(logger.Handler())
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	options.Emitter = emit.Open(ctx, emit.Options{Version: version, ServiceName: "fairlead-controller"})
	err = controller.Run(ctx, cluster.Config(), options)
	stop() // a second signal ends the process at once
	if closeErr := options.Emitter.Close(context.WithoutCancel(ctx)); closeErr != nil {
		logger.Warn(closeErr.Error())
	}
	return err
}

// backends are where samples and traces are, for CanaryReleases that name none.
func (o *controllerOptions) backends() (*prom.Config, tracing.Source, error) {
	client := o.server.client()
	base := strings.TrimSuffix(client.Server, "/")
	if base == "" && o.prometheus == "" {
		base = strings.TrimSuffix(api.DefaultServer, "/")
	}
	metrics := &prom.Config{URL: o.prometheus, BearerToken: os.Getenv("PROMETHEUS_TOKEN"), Retries: -1}
	if o.prometheus == "" {
		metrics.URL, metrics.BearerToken = base+"/prometheus", client.Token
	}
	if err := metrics.Validate(); err != nil {
		return nil, nil, err
	}
	traces := tracing.Options{Token: os.Getenv("FAIRLEAD_TRACES_TOKEN")}
	switch {
	case o.tempo != "" && o.jaeger != "":
		return nil, nil, fmt.Errorf("--tempo and --jaeger: name one of them")
	case o.jaeger != "":
		s, err := tracing.NewJaeger(o.jaeger, traces)
		return metrics, s, err
	case o.tempo != "":
		s, err := tracing.NewTempo(o.tempo, traces)
		return metrics, s, err
	case base != "":
		traces.Token = client.Token
		s, err := tracing.NewTempo(base+"/tempo", traces)
		return metrics, s, err
	}
	return metrics, nil, nil
}

// receivers are told of the end of rollouts.
func (o *controllerOptions) receivers() ([]*notify.Receiver, error) {
	var out []*notify.Receiver
	for _, one := range []struct {
		flag, url string
		kind      notify.Kind
	}{{"notify-slack", o.slack, notify.KindSlack}, {"notify-webhook", o.webhook, notify.KindWebhook}} {
		if one.url == "" {
			continue
		}
		url, err := notify.Resolve(one.url)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", one.flag, err)
		}
		options := notify.Options{Name: one.flag, Kind: one.kind, URL: url}
		if one.kind == notify.KindWebhook && o.webhookKey != "" {
			key, err := notify.Resolve(o.webhookKey)
			if err != nil {
				return nil, fmt.Errorf("--notify-webhook-key: %w", err)
			}
			options.Key = []byte(key)
		}
		r, err := notify.New(options)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", one.flag, err)
		}
		out = append(out, r)
	}
	return out, nil
}
