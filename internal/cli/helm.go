package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/wrapper"
)

// exitHelmNotFound is what shells return for a command that they cannot find.
const exitHelmNotFound = 127

// helmMemory is what a run may use before the collector, which is rare then (see
// package startup), works as hard as it must: Helm runs beside us.
const helmMemory = 128 << 20

// helmFlags are our own flags of `fairlead helm`: they stand before the word
// helm, everything after it is Helm's.
func helmFlags(c *wrapper.Config) *pflag.FlagSet {
	fs := pflag.NewFlagSet("fairlead helm", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.Usage = func() {}
	text := func(p interface {
		pflag.Value
	}, name, bare, usage string) {
		fs.Var(p, name, usage)
		fs.Lookup(name).NoOptDefVal = bare
	}
	text((*word[release.RollbackMode])(&c.AutoRollback), "auto-rollback", string(release.RollbackOn),
		"after a failed install or upgrade return to the revision that was deployed before; a first install that failed is uninstalled, or kept: `on|off|uninstall|keep`")
	text((*word[wrapper.ProgressMode])(&c.Progress), "progress", "", "what Helm waits for, on stderr: `auto|tty|plain|none`")
	text((*word[wrapper.Choice])(&c.Metrics), "metrics", "", "send metrics: `auto|on|off`; auto leaves them to an agent that has seen the operation")
	text((*word[wrapper.Choice])(&c.Summary), "summary", string(wrapper.On), "write what the CI system shows: `auto|on|off`")
	fs.StringVar(&c.TraceURL, "trace-url", "", "`template` of a link to the trace, with {trace_id} in it")
	fs.StringVar(&c.TraceOut, "trace-out", "", "append the telemetry to `file` as OTLP/JSON lines; - is stderr")
	fs.BoolVar(&c.PrintTrace, "print-trace", false, "print the trace as a tree on stderr")
	fs.BoolVar(&c.GitHubTrace, "github-trace", false, "join the trace that the Collector's github receiver makes of the workflow run, unless TRACEPARENT is set")
	fs.StringVar(&c.Cluster, "cluster", "", "`name` of the cluster, for k8s.cluster.name")
	fs.DurationVar(&c.ExportTimeout, "export-timeout", 0, "bound of the export at the end (default 5s)")
	return fs
}

// helmVariables are the FAIRLEAD_* variables of the flags.
var helmVariables = map[string]string{
	"auto-rollback": "FAIRLEAD_AUTO_ROLLBACK", "progress": "FAIRLEAD_PROGRESS", "metrics": "FAIRLEAD_METRICS",
	"summary": "FAIRLEAD_SUMMARY", "trace-url": "FAIRLEAD_TRACE_URL", "trace-out": "FAIRLEAD_TRACE_OUT",
	"print-trace": "FAIRLEAD_PRINT_TRACE", "github-trace": "FAIRLEAD_GITHUB_TRACE", "cluster": "FAIRLEAD_CLUSTER_NAME", "export-timeout": "FAIRLEAD_EXPORT_TIMEOUT",
}

// word is a string type as a flag's value; [wrapper.Config.Validate] knows the
// words. Booleans of CI systems' variables read as on and off.
type word[T ~string] string

func (w *word[T]) String() string { return string(*w) }
func (w *word[T]) Type() string   { return "string" }
func (w *word[T]) Set(s string) error {
	switch strings.ToLower(s) {
	case "true", "1", "yes":
		s = "on"
	case "false", "0", "no":
		s = "off"
	}
	*w = word[T](strings.ToLower(s))
	return nil
}

// helmCall is a command line that is `fairlead helm ...`.
type helmCall struct {
	config wrapper.Config
	args   []string // Helm's
	asHelm bool     // we were called by the name helm
	err    error    // our own flags cannot be used
}

// parseHelmCall tells whether args (args[0] is the program's name) call Helm,
// without help of cobra: a passthrough must not wait for it.
func parseHelmCall(args []string, getenv func(string) string) (helmCall, bool) {
	var call helmCall
	flags := helmFlags(&call.config)
	if name := strings.TrimSuffix(strings.ToLower(filepath.Base(args[0])), ".exe"); name == "helm" {
		call.args, call.asHelm = args[1:], true
	} else {
		err := flags.Parse(args[1:])
		rest := flags.Args()
		if err != nil {
			// Not ours unless the word helm follows: cobra says what is wrong then.
			for i, a := range args[1:] {
				if a == "helm" && i > 0 {
					call.err = err
					return call, !errors.Is(err, pflag.ErrHelp)
				}
			}
			return call, false
		}
		if len(rest) == 0 || rest[0] != "helm" {
			return call, false
		}
		call.args = rest[1:]
	}
	for name, variable := range helmVariables {
		v := getenv(variable)
		if v == "" || flags.Changed(name) {
			continue
		}
		if err := flags.Set(name, v); err != nil {
			call.err = fmt.Errorf("%s=%q: %w", variable, v, err)
		}
	}
	if call.err == nil {
		call.err = call.config.Validate()
	}
	return call, true
}

// runHelm passes Helm through, or runs and records it.
func runHelm(ctx context.Context, call helmCall, s Streams) int {
	say := func(format string, a ...any) { fmt.Fprintf(s.Err, "fairlead: "+format+"\n", a...) }
	path, err := helm.Find(helm.FindOptions{})
	if err != nil {
		say("%v", err)
		if errors.Is(err, helm.ErrNotFound) {
			return exitHelmNotFound
		}
		return ExitError
	}
	passthrough := func() int {
		argv0 := ""
		if call.asHelm {
			// A plugin that calls $HELM_BIN then comes by here, too.
			argv0 = helm.CalledAs(os.Args[0])
		}
		err := helm.Exec(path, argv0, call.args, helm.ChildEnv(os.Environ()))
		say("%v", err)
		return ExitError
	}
	if disabled(os.Getenv("FAIRLEAD_DISABLED")) || !helm.MayRecord(call.args) {
		return passthrough()
	}
	if call.err != nil {
		// Before anything was changed: a typing error in --auto-rollback must
		// not turn up as a release that was not rolled back.
		say("%v", call.err)
		say("see: fairlead help helm")
		return ExitError
	}
	helmVersion, err := helm.DetectVersion(ctx, path, "")
	if err != nil {
		say("warning: %v; not recorded", err)
		return passthrough()
	}
	inv := helm.Parse(helmVersion.Major, call.args)
	if !inv.Recorded() {
		return passthrough()
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(helmMemory)
	}
	return wrapper.Run(ctx, wrapper.Options{
		Config: call.config, Helm: path, Invocation: inv, Env: os.Environ(), Getenv: os.Getenv,
		Stderr: s.Err, Terminal: isTerminal(s.Err), Width: func() int { return width(s.Err) }, Version: version,
	})
}

func disabled(v string) bool {
	on, err := strconv.ParseBool(v)
	return err == nil && on
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width returns the columns of the terminal behind w, 80 when it does not say.
func width(w any) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// newHelmCommand documents `fairlead helm`; its work is done before cobra, see
// [parseHelmCall].
func newHelmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "helm ARGS...",
		Short: "Run Helm and record what it did, why it failed, and, if asked, roll back",
		Long: `Runs the helm on your PATH with exactly the arguments after the word helm. Its
output, exit code and effect are Helm's. Installs, upgrades, rollbacks,
uninstalls and tests are recorded: a trace an operation, metrics, logs, by the
standard OTEL_* variables. Everything else is handed to Helm at once.

fairlead's own flags stand BEFORE the word helm, or in FAIRLEAD_* variables:
`,
		Example: `  fairlead helm upgrade --install web ./chart --wait
  fairlead --auto-rollback --progress plain helm upgrade web ./chart --wait
  fairlead --print-trace helm install web ./chart
  FAIRLEAD_AUTO_ROLLBACK=keep helmfile --helm-binary ./helm apply   # helm is a link to fairlead`,
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		Run:                   func(*cobra.Command, []string) {},
	}
	flags := helmFlags(&wrapper.Config{})
	cmd.Long += "\n" + flags.FlagUsages() + "\n" + variablesHelp(flags)
	return cmd
}

func variablesHelp(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("Variables, under the flags:\n")
	flags.VisitAll(func(f *pflag.Flag) {
		fmt.Fprintf(&b, "  %-26s --%s\n", helmVariables[f.Name], f.Name)
	})
	fmt.Fprintf(&b, "  %-26s the helm to run; default the first other helm on PATH\n", helm.EnvBin)
	fmt.Fprintf(&b, "  %-26s true runs plain Helm and does nothing else\n", "FAIRLEAD_DISABLED")
	return b.String()
}
