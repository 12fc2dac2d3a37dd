package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

type explainOptions struct {
	streams       Streams
	traces        traceFlags
	output        outputFlag
	stableVersion string
	now           func() time.Time
}

func newCanaryExplainCommand(s Streams) *cobra.Command {
	o := explainOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say what the canary's failed and slow traces have in common",
		Long: `Compare the canary's failing traces with its healthy ones (where does it fail?)
and with stable's failing ones (what is new?), and the traces slower than
stable's p99 on the same route with the others.

What is named is over-represented: an association, which traces can show, and
not a cause, which they cannot. Nothing is named when nothing stands out.`,
		Example: `  fairlead canary explain --service checkout --version 2.1.0
  fairlead canary explain --service checkout --version 2.1.0 --stable-version 2.0.3 -o json
  fairlead canary explain --service checkout --version 2.1.0 --deny app.customer`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			if err := o.traces.check(); err != nil {
				return err
			}
			return runExplain(cmd.Context(), o)
		},
	}
	o.traces.bind(cmd)
	o.output.bind(cmd, "text", "json", "yaml")
	cmd.Flags().StringVar(&o.stableVersion, "stable-version", "", "service.version of stable; without it the track alone tells")
	return cmd
}

func runExplain(ctx context.Context, o explainOptions) error {
	source, name, err := o.traces.source()
	if err != nil {
		return err
	}
	canary := o.traces.canary(o.now())
	canary.StableVersion = o.stableVersion
	found, err := tracing.Explain(ctx, source, canary)
	if err != nil {
		return err
	}
	if done, err := o.output.encode(o.streams.Out, found); done {
		return err
	}
	printExplanation(o.streams.Out, found, o.traces.link)
	fmt.Fprintf(o.streams.Err, "Asked %s about the last %s.\n", name, short(o.traces.since))
	return nil
}

// printExplanation draws an explanation for people; link returns where a trace
// can be looked at, or "".
func printExplanation(w io.Writer, e tracing.Explanation, link func(string) string) {
	printReport(w, "Failed traces", "failing", e.Errors, link)
	printReport(w, "Slow traces (slower than stable's p99 on the same route)", "slow", e.Slow, link)
	for _, sample := range e.Sampled {
		fmt.Fprintf(w, "Sample: %s.\n", sample)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(w, "Note: %s.\n", note)
	}
}

func printReport(w io.Writer, title, what string, r explain.Report, link func(string) string) {
	fmt.Fprintf(w, "%s: %d %s of %d of the canary, %d %s of %d of stable\n", title,
		r.Failing, what, r.Failing+r.Healthy, r.StableFailing, what, r.StableFailing+r.StableHealthy)
	for i, f := range r.Findings {
		fmt.Fprintf(w, "%3d. %s\n", i+1, f.Text)
		if len(f.Same) > 0 {
			var same []string
			for _, a := range f.Same {
				same = append(same, a.String())
			}
			fmt.Fprintf(w, "     the same traces: %s\n", strings.Join(same, ", "))
		}
		printTraces(w, f.Examples, link)
	}
	if len(r.Findings) == 0 || len(r.Groups) > 1 {
		for _, g := range r.Groups {
			fmt.Fprintf(w, "%5d x %s, %s: %s\n", g.Count, g.Route, g.Span, nameOr(g.Error, "no message"))
			if len(r.Findings) == 0 {
				printTraces(w, g.Examples, link)
			}
		}
	}
	if r.Note != "" {
		fmt.Fprintf(w, "     %s\n", r.Note)
	}
	fmt.Fprintln(w)
}

func printTraces(w io.Writer, ids []string, link func(string) string) {
	for _, id := range ids {
		if url := link(id); url != "" {
			id = url
		}
		fmt.Fprintf(w, "     %s\n", id)
	}
}
