package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/server"
)

// gcPercent trades memory for CPU beside Go's default of 100: at 100k series of
// bench/metrics 100 gave 0.99 of Prometheus' samples per CPU-second and 1.10 of
// its memory, 110 gave 1.04 and 1.15.
const gcPercent = 110

// shutdownTimeout is how long requests under way may take after a signal;
// Kubernetes kills after 30 s.
const shutdownTimeout = 15 * time.Second

type serverOptions struct {
	streams Streams
	config  string
	check   bool

	data, http, otlpGRPC, otlpHTTP string
	basePath                       string
	insecure                       bool
	logLevel                       string

	kubeconfig, context string // of the cluster that the pages act in
	inside              companions

	changed func(flag string) bool
}

func newServerCommand(s Streams) *cobra.Command {
	o := &serverOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Receive, keep and answer telemetry: OTLP in, PromQL and trace search out",
		Long: `Run the server: it receives OTLP (traces, metrics, logs), keeps it in one
directory, and answers PromQL, trace search and log queries on one port.

Everything listens on this machine only, unless an address says otherwise; an
address that other machines reach needs auth.tokens in the configuration file,
a client CA, or --insecure.

With --kubeconfig or --kube-context the canary's page approves, pauses, resumes
and aborts rollouts of that cluster, for those whose token (or proxy's group) may
write. Without them it shows the command.

With --agent and --controller it is all in one: an agent and a controller of
that cluster (or of KUBECONFIG, or the pod's own) run in the same process and send
to this server. Where the server wants a token, theirs is FAIRLEAD_TOKEN.`,
		Example: `  fairlead server
  fairlead server --data /var/lib/fairlead
  fairlead server --config fairlead.yaml --check
  fairlead server --config fairlead.yaml
  fairlead server --config fairlead.yaml --kube-context prod
  fairlead server --agent --controller --cluster-name prod`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.changed = cmd.Flags().Changed
			return runServer(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.config, "config", "c", "", "configuration file (YAML)")
	f.BoolVar(&o.check, "check", false, "check the configuration and exit")
	f.StringVar(&o.data, "data", "", "directory of the data (store.dir) (default \"fairlead-data\")")
	f.StringVar(&o.http, "http", "", "address of pages and query APIs (listen.http) (default \"127.0.0.1:8484\")")
	f.StringVar(&o.otlpGRPC, "otlp-grpc", "", "address of OTLP over gRPC, or off (listen.otlpGrpc) (default \"127.0.0.1:4317\")")
	f.StringVar(&o.otlpHTTP, "otlp-http", "", "address of OTLP over HTTP, or off (listen.otlpHttp) (default \"127.0.0.1:4318\")")
	f.StringVar(&o.basePath, "base-path", "", "path below which a proxy serves the pages and APIs (listen.basePath)")
	f.BoolVar(&o.insecure, "insecure", false, "serve other machines without authentication (listen.insecure)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig of the cluster that the pages act in (default: none)")
	f.StringVar(&o.context, "kube-context", "", "context of the kubeconfig that the pages act in (default: none)")
	o.inside.bind(cmd)
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// load reads the file and puts the flags over it.
func (o *serverOptions) load() (*config.Server, error) {
	cfg := config.Default()
	if o.config != "" {
		var err error
		if cfg, err = config.Load(o.config); err != nil {
			return nil, err
		}
	}
	for flag, target := range map[string]*string{
		"data": &cfg.Store.Dir, "http": &cfg.Listen.HTTP, "otlp-grpc": &cfg.Listen.OTLPGRPC, "otlp-http": &cfg.Listen.OTLPHTTP,
	} {
		if o.changed(flag) {
			*target = map[string]string{"data": o.data, "http": o.http, "otlp-grpc": o.otlpGRPC, "otlp-http": o.otlpHTTP}[flag]
		}
	}
	if o.changed("base-path") {
		cfg.Listen.BasePath = o.basePath
	}
	if o.changed("insecure") {
		cfg.Listen.Insecure = o.insecure
	}
	if err := cfg.Validate(); err != nil {
		if o.config != "" {
			return nil, fmt.Errorf("config %s:\n%w", o.config, err)
		}
		return nil, err
	}
	return cfg, nil
}

func runServer(ctx context.Context, o *serverOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	cfg, err := o.load()
	if err != nil {
		return err
	}
	if o.check {
		if _, err := cfg.Auth.Resolve(); err != nil {
			return err
		}
		fmt.Fprintln(o.streams.Out, "configuration is valid")
		return nil
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	logger := slog.New(slog.NewTextHandler(o.streams.Err, &slog.HandlerOptions{Level: level}))
	began := time.Now()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	cluster, err := o.cluster()
	if err != nil {
		return err
	}
	if cluster != nil && len(cfg.Auth.Tokens) == 0 && cfg.Auth.Proxy == nil {
		logger.Warn("nobody can act on rollouts: the pages act for a token with the access write (auth.tokens) or an authenticating proxy (auth.proxy)")
	}
	srv, err := server.Open(ctx, cfg, server.Options{Logger: logger, Version: version, Cluster: cluster})
	if err != nil {
		return err
	}
	err = srv.Start(ctx)
	if err == nil {
		o.announce(cfg, srv, time.Since(began))
		// What the start alone needed goes back to the system.
		debug.FreeOSMemory()
		within, cancel := context.WithCancel(ctx)
		failed, wait := o.startCompanions(within, cfg, srv)
		select {
		case <-ctx.Done():
			logger.Info("stopping")
		case err = <-srv.Failed():
		case err = <-failed:
		}
		cancel()
		wait() // they send to the server
	}
	stop() // a second signal ends the process at once
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if closeErr := srv.Shutdown(wait); err == nil {
		err = closeErr
	}
	return err
}

// announce tells on stderr where everything is.
func (o *serverOptions) announce(cfg *config.Server, srv *server.Server, took time.Duration) {
	scheme := "http"
	if cfg.Listen.TLS != nil {
		scheme = "https"
	}
	grpc, http := srv.OTLPAddrs()
	base := scheme + "://" + srv.HTTPAddr()
	lines := []string{
		fmt.Sprintf("fairlead server %s ready in %s, data in %s", version, took.Round(time.Millisecond), cfg.Store.Dir),
		"  pages       " + base + "/",
		"  Prometheus  " + base + "/prometheus",
	}
	if grpc != "" {
		lines = append(lines, "  OTLP gRPC   "+grpc)
	}
	if http != "" {
		lines = append(lines, "  OTLP HTTP   "+scheme+"://"+http)
	}
	fmt.Fprintln(o.streams.Err, strings.Join(lines, "\n"))
}
