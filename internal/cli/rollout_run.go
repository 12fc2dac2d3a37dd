package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/ci"
	"fairlead.dev/fairlead/internal/controller"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/helmrollout"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/wrapper"
)

type rolloutRunOptions struct {
	streams    Streams
	cluster    rolloutFlags
	server     serverFlags
	traces     traceBackendFlags
	prometheus string
	file       string
	version    string
	set        []string
	values     []string
	progress   word[wrapper.ProgressMode]
	lint       string
	keepCanary bool
	drain      time.Duration
	timeout    time.Duration
	traceOut   string
	printTrace bool
	helmArgs   []string
	getenv     func(string) string
	now        func() time.Time
}

func newRolloutRunCommand(s Streams) *cobra.Command {
	o := rolloutRunOptions{streams: s, now: time.Now, getenv: os.Getenv}
	cmd := &cobra.Command{
		Use:   "run -f FILE [flags] [-- HELM-FLAGS]",
		Short: "Roll out a chart that is installed twice, from a pipeline",
		Long: `Roll out a chart that is installed as a stable and as a canary release.

The file is a CanaryRelease with a helm block. The canary release is upgraded, its
weight raised step by step through the gates, the stable release upgraded, and
the canary release uninstalled. A canary that harms loses its traffic at once.
Where the CanaryRelease is in the cluster, its controller moves the weights;
otherwise this command does, and keeps what it must remember in the ConfigMap
fairlead-rollout-NAME. When it is killed, the canary keeps its weight: run the same
command again and it goes on.

What stands after -- is given to every helm upgrade.

Exit codes: 0 promoted, 2 rolled back, 3 held until a person acts (the canary
keeps its traffic), 4 --timeout ran out, 1 could not, 130 interrupted.`,
		Example: `  fairlead rollout run -f release.yaml --set image.tag=2.0.0
  fairlead rollout run -f release.yaml --version 1.4.2 --values prod.yaml -- --history-max 5
  fairlead rollout run -f release.yaml --set image.tag=2.0.0 --prometheus http://prometheus:9090`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return fmt.Errorf("%q: flags of helm stand after --", args[0])
			}
			o.helmArgs = args
			if err := o.check(); err != nil {
				return err
			}
			return runRolloutRun(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.cluster.bind(cmd)
	o.server.bind(cmd)
	o.traces.bind(cmd)
	f.StringVar(&o.prometheus, "prometheus", os.Getenv("PROMETHEUS_URL"), "URL of a Prometheus-compatible server to ask instead of the fairlead server, where the file names none; PROMETHEUS_URL")
	f.StringVarP(&o.file, "file", "f", "", "YAML file with a CanaryRelease that has a helm block")
	f.StringVar(&o.version, "version", "", "version of the chart, over the file's")
	f.StringArrayVar(&o.set, "set", nil, "value for both releases, over the file's: key=value")
	f.StringArrayVar(&o.values, "values", nil, "values file for both releases, over the file's")
	f.Var(&o.progress, "progress", "how changes and what Helm waits for are shown, on stderr: `auto|tty|plain|none`")
	f.StringVar(&o.lint, "lint", "error", "what to do where the releases would get in each other's way: `error|warn`")
	f.BoolVar(&o.keepCanary, "keep-canary", false, "leave the canary release installed at the end, without pods")
	f.DurationVar(&o.drain, "drain", 10*time.Second, "how long pods keep what the weights have just taken from them, before they are replaced or go")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after this time, the canary keeping its weight (default: the file's deadline bounds it)")
	f.StringVar(&o.traceOut, "trace-out", "", "append the telemetry to `file` as OTLP/JSON lines; - is stderr")
	f.BoolVar(&o.printTrace, "print-trace", false, "print the traces of the Helm operations as trees on stderr")
	return cmd
}

func (o *rolloutRunOptions) check() error {
	switch {
	case o.file == "":
		return errors.New("--file is missing: a CanaryRelease with a helm block")
	case o.lint != "error" && o.lint != "warn":
		return fmt.Errorf("--lint %q: want error or warn", o.lint)
	case o.timeout < 0:
		return fmt.Errorf("--timeout %s: want a duration of 0 or more", o.timeout)
	case o.drain < time.Second:
		return fmt.Errorf("--drain %s: want 1s or more: a data plane takes new weights a moment after the API has them", o.drain)
	}
	if err := (wrapper.Config{Progress: wrapper.ProgressMode(o.progress)}).Validate(); err != nil {
		return err
	}
	return o.traces.check()
}

// release reads the file, with what the flags say over it.
func (o *rolloutRunOptions) release(namespace string) (*v1alpha1.CanaryRelease, error) {
	text, err := readInput(o.file, o.streams.In)
	if err != nil {
		return nil, err
	}
	cr, err := helmrollout.Prepare(text, namespace)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.file, err)
	}
	h := cr.Spec.Helm
	if o.version != "" {
		h.Version = o.version
	}
	h.Set, h.Values = append(h.Set, o.set...), append(h.Values, o.values...)
	return cr, nil
}

func readInput(path string, in io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(in, 2<<20))
	}
	return os.ReadFile(path)
}

func runRolloutRun(ctx context.Context, o rolloutRunOptions) error {
	cluster, err := o.cluster.open()
	if err != nil {
		return err
	}
	cr, err := o.release(cluster.namespace)
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	r := &rolloutRunner{rolloutRunOptions: o, cluster: cluster, release: cr, env: cluster.helmEnv(o)}
	if r.helmPath, err = helm.Find(helm.FindOptions{}); err != nil {
		return err
	}
	if r.helmVersion, err = helm.DetectVersion(ctx, r.helmPath, ""); err != nil {
		return err
	}
	if r.lines, err = openTraceOut(o.traceOut, o.streams.Err); err != nil {
		return err
	}
	defer r.lines.close()
	r.emitter = emit.Open(ctx, emit.Options{Version: version, Sinks: r.lines.sinks()})
	return r.run(ctx)
}

// rolloutRunner is one `rollout run`.
type rolloutRunner struct {
	rolloutRunOptions
	cluster     *rolloutCluster
	release     *v1alpha1.CanaryRelease
	env         []string
	helmPath    string
	helmVersion helm.Version
	lines       *traceOut
	emitter     *emit.Emitter
	span        trace.Span
	shown       *rolloutProgress
}

func (r *rolloutRunner) run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(r.cluster.config)
	if err != nil {
		return err
	}
	r.shown = newRolloutProgress(r.streams.Err, wrapper.ProgressMode(r.progress), r.now)
	end, err := helmrollout.Run(ctx, helmrollout.Options{
		Store: r.cluster.store, Release: r.release, HelmArgs: r.helmArgs,
		Helm: r.helm, Template: r.template, Drive: r.drive, Begin: r.begin(ctx), Show: r.shown.show, Say: r.say,
		Lock:           helmrollout.LeaseLock(clients, identity(r.getenv), r.say),
		IgnoreFindings: r.lint == "warn", KeepCanary: r.keepCanary, Drain: r.drain, Now: r.now,
	})
	r.shown.done()
	code, err := r.result(ctx, end, err)
	r.finish(ctx, end, code, err)
	if err != nil {
		return &CodeError{Code: code, Err: err}
	}
	if code != ExitOK {
		return Exit(code)
	}
	return nil
}

// result turns how it ended into an exit code and what to say.
func (r *rolloutRunner) result(ctx context.Context, end *v1alpha1.CanaryRelease, err error) (int, error) {
	var promotion *helmrollout.PromotionError
	resume := func() string {
		if end == nil || rollout.Phase(end.Status.Phase).Ended() {
			return ""
		}
		return fmt.Sprintf("\nhint: the canary keeps %s of the traffic and nobody watches it: run the same command again to go on, or `fairlead rollout abort` and then this command to take it back",
			nameOr(percentText(end.Status.Weight), "0 %"))
	}
	switch {
	case errors.As(err, &promotion):
		return ExitContinue, err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ExitTimeout, fmt.Errorf("the rollout has not ended within --timeout %s%s", r.timeout, resume())
	case ctx.Err() != nil:
		return ExitInterrupted, fmt.Errorf("interrupted%s", resume())
	case err != nil:
		return ExitError, fmt.Errorf("%w%s", err, resume())
	}
	code, _ := outcome(end)
	return code, nil
}

func (r *rolloutRunner) say(format string, args ...any) {
	r.shown.clear()
	fmt.Fprintf(r.streams.Err, "%s - %s\n", r.now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// begin returns the function that starts this run's span.
func (r *rolloutRunner) begin(ctx context.Context) func(string) string {
	return func(parent string) string {
		ctx := r.emitter.FromEnvironment(ctx)
		if parent != "" {
			ctx = emit.WithTraceparent(ctx, parent)
		}
		ctx, r.span = r.emitter.Tracer().Start(ctx, "rollout-run", trace.WithTimestamp(r.now()), trace.WithAttributes(
			attribute.String("canary.service", r.release.Spec.Service),
			attribute.String("helm.release", r.release.Spec.Helm.Stable),
			attribute.String("k8s.namespace.name", r.release.Namespace),
		))
		r.span.SetAttributes(emit.Values(anyMap(ci.Detect(r.getenv).Attributes()), nil)...)
		return emit.Traceparent(ctx)
	}
}

func anyMap(m map[string]string) map[string]any {
	all := make(map[string]any, len(m))
	for k, v := range m {
		all[k] = v
	}
	return all
}

// finish ends the span, and writes what the CI system shows.
func (r *rolloutRunner) finish(ctx context.Context, end *v1alpha1.CanaryRelease, code int, err error) {
	if r.span != nil {
		r.span.SetAttributes(attribute.Int("process.exit.code", code))
		if end != nil {
			r.span.SetAttributes(attribute.String(rollout.AttrRolloutID, end.Status.RolloutID), attribute.String("canary.version", end.Status.CanaryVersion),
				attribute.String("canary.phase", end.Status.Phase))
		}
		if code != ExitOK {
			text := ""
			switch {
			case err != nil:
				text = err.Error()
			case end != nil:
				text = end.Status.Message
			}
			r.span.SetStatus(codes.Error, text)
		}
		r.span.End()
	}
	if closeErr := r.emitter.Close(context.WithoutCancel(ctx)); closeErr != nil {
		fmt.Fprintln(r.streams.Err, "telemetry:", closeErr)
	}
	writeRolloutSummary(r.streams.Err, r.getenv, r.release, end, code, err)
}

// helm runs a recorded Helm.
func (r *rolloutRunner) helm(ctx context.Context, traceparent string, args []string) int {
	inv := helm.Parse(r.helmVersion.Major, args)
	config := wrapper.Config{Progress: wrapper.ProgressMode(r.progress), TraceOut: r.traceOut, PrintTrace: r.printTrace, Summary: wrapper.Off, Cluster: r.getenv("FAIRLEAD_CLUSTER_NAME")}
	return wrapper.Run(context.WithoutCancel(ctx), wrapper.Options{
		Config: config, Helm: r.helmPath, Invocation: inv, Env: r.env, Getenv: lookup(r.env), Traceparent: traceparent,
		// A result on stdout would be the rollout's; Helm's is progress.
		Stdout: stderrFile(r.streams.Err),
		Stderr: r.streams.Err, Terminal: isTerminal(r.streams.Err), Width: func() int { return width(r.streams.Err) }, Version: version,
	})
}

// template renders a release.
func (r *rolloutRunner) template(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.helmPath, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, helm.ChildEnv(r.env)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s", args[0], err, strings.TrimSpace(helm.NewRedactor(helm.Parse(r.helmVersion.Major, args), r.env).Redact(errs.String())))
	}
	return out.Bytes(), nil
}

// drive moves the weights from here.
func (r *rolloutRunner) drive(ctx context.Context, key client.ObjectKey) error {
	metrics := prom.Config{URL: r.prometheus}
	if metrics.URL == "" {
		c := r.server.client()
		metrics.URL, metrics.BearerToken = strings.TrimRight(nameOr(c.Server, api.DefaultServer), "/")+"/prometheus", c.Token
	}
	traces, _, err := r.traces.source(r.server)
	if err != nil {
		return err
	}
	return controller.Drive(ctx, r.cluster.config, r.cluster.store, key, controller.Options{
		Prometheus: &metrics, Traces: traces, Emitter: r.emitter, Cluster: r.cluster.name, Drain: r.drain, Driver: "run",
		Logger: funcr.New(func(prefix, args string) { r.say("%s", strings.TrimSpace(prefix+" "+args)) }, funcr.Options{}),
	})
}

// helmEnv is the environment of Helm: the cluster that the flags name.
func (c *rolloutCluster) helmEnv(o rolloutRunOptions) []string {
	env := os.Environ()
	if o.cluster.kubeconfig != "" {
		env = append(env, "KUBECONFIG="+o.cluster.kubeconfig)
	}
	if o.cluster.context != "" {
		env = append(env, "HELM_KUBECONTEXT="+o.cluster.context)
	}
	return append(env, "HELM_NAMESPACE="+c.namespace)
}

// lookup reads a variable of env; the last one counts.
func lookup(env []string) func(string) string {
	return func(name string) string {
		for i := len(env) - 1; i >= 0; i-- {
			if k, v, _ := strings.Cut(env[i], "="); k == name {
				return v
			}
		}
		return ""
	}
}

func stderrFile(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return os.Stderr
}

// identity names this process to others that want to drive the same rollout.
func identity(getenv func(string) string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	who := fmt.Sprintf("%s process %d", host, os.Getpid())
	if run := ci.Detect(getenv).Holder(); run != "" {
		who = run + ", " + who
	}
	return who
}
