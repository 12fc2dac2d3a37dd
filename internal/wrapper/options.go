// Package wrapper runs the user's Helm and tells its story: one trace an
// operation, the cause of a failure, progress while Helm waits, and, when asked
// for, a safe rollback. [Run] is the whole of it.
//
// Helm's output, exit code and effect are the user's: nothing here changes
// them, whatever fails beside Helm.
package wrapper

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
)

// Choice is a setting of three states.
type Choice string

// The states of a [Choice].
const (
	Auto Choice = "auto"
	On   Choice = "on"
	Off  Choice = "off"
)

// ProgressMode is how progress is shown.
type ProgressMode string

// The modes of progress.
const (
	ProgressAuto  ProgressMode = "auto"  // tty on a terminal, else plain
	ProgressTTY   ProgressMode = "tty"   // one line that changes
	ProgressPlain ProgressMode = "plain" // a line a change
	ProgressNone  ProgressMode = "none"
)

// Config is what users write: flags before the word helm, or FAIRLEAD_* variables.
type Config struct {
	AutoRollback release.RollbackMode
	Progress     ProgressMode
	// Metrics: auto sends none where an agent in the cluster will.
	Metrics Choice
	// Summary: auto writes what the CI system that runs us shows.
	Summary Choice
	// TraceURL is a template of a link to the trace; see [Config.Validate].
	TraceURL string
	// TraceOut is a file for OTLP/JSON lines, "-" for stderr; "" is none.
	TraceOut string
	// PrintTrace prints the trace as a tree on stderr.
	PrintTrace bool
	// GitHubTrace joins the trace that the Collector's github receiver makes of
	// the workflow run, where no TRACEPARENT names another.
	GitHubTrace bool
	// Cluster is k8s.cluster.name; "" leaves it to the environment.
	Cluster string
	// ExportTimeout bounds the export at the end; 0 is the default of 5 s.
	ExportTimeout time.Duration
}

// Placeholders of [Config.TraceURL].
var traceURLKeys = []string{"{trace_id}", "{span_id}", "{release}", "{namespace}", "{cluster}", "{start_ms}", "{end_ms}"}

// Validate names the setting and value that cannot be.
func (c Config) Validate() error {
	switch c.AutoRollback {
	case "", release.RollbackOff, release.RollbackOn, release.RollbackUninstall, release.RollbackKeep:
	default:
		return fmt.Errorf("--auto-rollback %q: want on, off, uninstall or keep", c.AutoRollback)
	}
	switch c.Progress {
	case "", ProgressAuto, ProgressTTY, ProgressPlain, ProgressNone:
	default:
		return fmt.Errorf("--progress %q: want auto, tty, plain or none", c.Progress)
	}
	for name, v := range map[string]Choice{"--metrics": c.Metrics, "--summary": c.Summary} {
		switch v {
		case "", Auto, On, Off:
		default:
			return fmt.Errorf("%s %q: want auto, on or off", name, v)
		}
	}
	if c.TraceURL != "" && !strings.Contains(c.TraceURL, "{trace_id}") {
		return fmt.Errorf("--trace-url %q: want a URL with {trace_id} in it (also known: %s)", c.TraceURL, strings.Join(traceURLKeys[1:], ", "))
	}
	if c.ExportTimeout < 0 {
		return fmt.Errorf("--export-timeout %s: want a duration of 0 or more", c.ExportTimeout)
	}
	return nil
}

// Options are what [Run] works with.
type Options struct {
	Config Config
	// Helm is the path of the user's helm, Invocation its command line.
	Helm       string
	Invocation helm.Invocation
	// Env is the environment ("KEY=value"), Getenv reads one variable of it.
	Env    []string
	Getenv func(string) string
	// Stdin and Stdout are handed to Helm untouched; nil is this process's own.
	Stdin, Stdout *os.File
	// Stderr gets Helm's stderr and then what is ours.
	Stderr io.Writer
	// Terminal is whether Stderr is one; Width its columns.
	Terminal bool
	Width    func() int
	// Version is fairlead's own.
	Version string
	// Traceparent is the trace to join in place of the environment's; "" is the
	// environment's.
	Traceparent string
}
