package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

type failuresOptions struct {
	streams Streams
	traces  traceFlags
	output  outputFlag
	limit   int
	now     func() time.Time
}

func newCanaryFailuresCommand(s Streams) *cobra.Command {
	o := failuresOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "failures",
		Short: "List the canary's failed traces, newest first",
		Long: `List the failed traces of a canary, newest first: what failed, where the error
comes from, and the exception's message, with ids, numbers, addresses and
secrets masked.

Traces come from the fairlead server, or from a Tempo or Jaeger.`,
		Example: `  fairlead canary failures --service checkout --version 2.1.0
  fairlead canary failures --service checkout --version 2.1.0 --since 15m --limit 5 -o json
  fairlead canary failures --service checkout --jaeger http://localhost:16686`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			if err := o.traces.check(); err != nil {
				return err
			}
			if o.limit < 1 || o.limit > tracing.MaxLimit {
				return fmt.Errorf("--limit %d: want 1 to %d", o.limit, tracing.MaxLimit)
			}
			return runFailures(cmd.Context(), o)
		},
	}
	o.traces.bind(cmd)
	o.output.bind(cmd, "table", "json", "yaml")
	cmd.Flags().IntVar(&o.limit, "limit", 20, "at most this many traces")
	return cmd
}

// failuresReport is the answer as JSON or YAML.
type failuresReport struct {
	Service   string           `json:"service"`
	Version   string           `json:"version,omitempty"`
	Since     time.Time        `json:"since"`
	Failures  []failureWithURL `json:"failures"`
	Truncated bool             `json:"truncated"` // there are more than the limit
	Searched  string           `json:"searched"`
}

type failureWithURL struct {
	explain.Failure
	URL string `json:"url,omitempty"`
}

func runFailures(ctx context.Context, o failuresOptions) error {
	source, name, err := o.traces.source()
	if err != nil {
		return err
	}
	canary := o.traces.canary(o.now())
	found, err := tracing.Failed(ctx, source, canary, o.limit)
	if err != nil {
		return err
	}
	report := failuresReport{
		Service: canary.Service, Version: canary.Version, Since: canary.Start, Failures: []failureWithURL{},
		Truncated: found.Truncated, Searched: found.Searched,
	}
	for _, f := range explain.Failures(found.Traces, canary.Service) {
		report.Failures = append(report.Failures, failureWithURL{f, o.traces.link(f.TraceID)})
	}
	if done, err := o.output.encode(o.streams.Out, report); done {
		return err
	}
	if len(report.Failures) == 0 {
		fmt.Fprintf(o.streams.Err, `No failed traces of the canary in the last %s. Asked %s: %s
It may have none. Or they were not sampled, the spans do not carry service.version or
deployment.track, or they are older than --since.
`, short(o.traces.since), name, found.Searched)
		return nil
	}
	return printFailures(o.streams.Out, report, o.now())
}

func printFailures(w io.Writer, report failuresReport, now time.Time) error {
	rows := [][]string{{"WHEN", "TRACE", "ROUTE", "DURATION", "MESSAGE", "FAILED SPANS", "EXCEPTION"}}
	for _, f := range report.Failures {
		var spans, exceptions []string
		for _, e := range f.Errors {
			spans = append(spans, e.Name)
			if e.ExceptionType != "" || e.ExceptionMessage != "" {
				exceptions = append(exceptions, strings.TrimSpace(e.ExceptionType+": "+e.ExceptionMessage))
			}
		}
		rows = append(rows, []string{
			ago(now, &f.Start), f.TraceID, f.Route, strconv.FormatFloat(f.DurationMS, 'f', 1, 64) + " ms", f.Message,
			strings.Join(spans, " < "), strings.Join(exceptions, "; "),
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if report.Failures[0].URL != "" {
		fmt.Fprintln(w)
		for _, f := range report.Failures {
			fmt.Fprintln(w, f.URL)
		}
	}
	if report.Truncated {
		fmt.Fprintf(w, "\nThe newest %d; there are more (--limit).\n", len(report.Failures))
	}
	return nil
}
