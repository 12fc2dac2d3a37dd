package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

type explainOptions struct {
	streams       Streams
	traces        traceFlags
	output        outputFlag
	stableVersion string
	prometheus    string
	preset        string
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

Failed and slow requests whose traces the metrics name by exemplars are read
too: those of the fairlead server, or of --prometheus.

What is named is over-represented: an association, which traces can show, and
not a cause, which they cannot. Nothing is named when nothing stands out.`,
		Example: `  fairlead canary explain --service checkout --version 2.1.0
  fairlead canary explain --service checkout --version 2.1.0 --stable-version 2.0.3 -o json
  fairlead canary explain --service checkout --version 2.1.0 --deny app.customer
  fairlead canary explain --service checkout --version 2.1.0 --tempo http://tempo:3200 --prometheus http://prometheus:9090`,
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
	cmd.Flags().StringVar(&o.prometheus, "prometheus", "", "URL of a Prometheus whose exemplars name traces of the canary")
	cmd.Flags().StringVar(&o.preset, "preset", "", "names of the series: semconv, legacy or rpc (default semconv)")
	return cmd
}

func runExplain(ctx context.Context, o explainOptions) error {
	source, name, err := o.traces.source()
	if err != nil {
		return err
	}
	metrics, config, err := o.metrics()
	if err != nil {
		return err
	}
	canary := o.traces.canary(o.now())
	subject := judge.Subject{Service: canary.Service, CanaryVersion: canary.Version, StableVersion: o.stableVersion}
	found, err := judge.Explain(ctx, judge.Telemetry{Traces: source, Metrics: metrics, Config: config}, subject, canary.Start, canary.End, canary.Filter)
	if err != nil {
		return err
	}
	if done, err := o.output.encode(o.streams.Out, found); done {
		return err
	}
	printExplanation(o.streams.Out, *found, o.traces.link)
	fmt.Fprintf(o.streams.Err, "Asked %s about the last %s.\n", name, short(o.traces.since))
	return nil
}

// metrics is where exemplars are: the Prometheus that was named, or the fairlead
// server where traces are its own too; nil for none.
func (o *explainOptions) metrics() (analysis.Source, analysis.Config, error) {
	settings := map[string]string{}
	if o.preset != "" {
		settings["preset"] = o.preset
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, analysis.Config{}, err
	}
	config, err := analysis.Decode(text)
	if err != nil {
		return nil, config, fmt.Errorf("--preset: %w", err)
	}
	c := prom.Config{URL: o.prometheus, Retries: -1}
	if c.URL == "" {
		if o.traces.asked() {
			return nil, config, nil
		}
		client := o.traces.server.client()
		c.URL, c.BearerToken = strings.TrimRight(nameOr(client.Server, api.DefaultServer), "/")+"/prometheus", client.Token
	}
	client, err := prom.NewClient(c)
	if err != nil {
		return nil, config, fmt.Errorf("--prometheus: %w", err)
	}
	return prom.NewSource(client), config, nil
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
