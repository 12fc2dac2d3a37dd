package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// traceBackendFlags say where traces are, and what may be shown of them.
type traceBackendFlags struct {
	tempo, jaeger string
	headers       map[string]string
	url           string
	deny, allow   []string
}

func (f *traceBackendFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tempo, "tempo", os.Getenv("TEMPO_URL"), "URL of a Tempo to ask for traces instead of the fairlead server; TEMPO_URL")
	cmd.Flags().StringVar(&f.jaeger, "jaeger", os.Getenv("JAEGER_URL"), "URL of a Jaeger query service to ask for traces instead; JAEGER_URL")
	cmd.Flags().StringToStringVar(&f.headers, "header", nil, "header for the trace backend, as X-Scope-OrgID=team (token: FAIRLEAD_TRACES_TOKEN)")
	cmd.Flags().StringVar(&f.url, "trace-url", os.Getenv("FAIRLEAD_TRACE_URL"), "link to a trace, with {traceId} where the id goes; FAIRLEAD_TRACE_URL")
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil, "only these attributes of traces, as http.route or app.*")
	cmd.Flags().StringSliceVar(&f.deny, "deny", nil, "never these attributes of traces, as app.customer or tenant.*")
}

func (f *traceBackendFlags) check() error {
	if f.tempo != "" && f.jaeger != "" {
		return errors.New("--tempo and --jaeger: name one of them")
	}
	if f.url != "" {
		if err := tracing.CheckLink(f.url); err != nil {
			return fmt.Errorf("--trace-url %q: %w", f.url, err)
		}
	}
	return nil
}

// asked reports whether the flags name a backend.
func (f *traceBackendFlags) asked() bool { return f.tempo+f.jaeger != "" }

// source returns the backend that the flags name, the fairlead server otherwise,
// and its name for people.
func (f *traceBackendFlags) source(server serverFlags) (tracing.Source, string, error) {
	o := tracing.Options{Headers: f.headers, Token: os.Getenv("FAIRLEAD_TRACES_TOKEN")}
	switch {
	case f.jaeger != "":
		s, err := tracing.NewJaeger(f.jaeger, o)
		return s, "Jaeger at " + f.jaeger, err
	case f.tempo != "":
		s, err := tracing.NewTempo(f.tempo, o)
		return s, "Tempo at " + f.tempo, err
	default:
		client := server.client()
		base := client.Server
		if base == "" {
			base = api.DefaultServer
		}
		o.Token = client.Token
		s, err := tracing.NewTempo(strings.TrimSuffix(base, "/")+"/tempo", o)
		return s, "the fairlead server at " + base, err
	}
}

func (f *traceBackendFlags) filter() explain.Filter {
	return explain.Filter{Allow: f.allow, Deny: f.deny}
}

// link returns where a trace can be looked at, "" when nobody said where.
func (f *traceBackendFlags) link(traceID string) string { return tracing.Link(f.url, traceID) }

// traceFlags say where traces are, and whose.
type traceFlags struct {
	traceBackendFlags
	server  serverFlags
	service string
	version string
	since   time.Duration
}

func (f *traceFlags) bind(cmd *cobra.Command) {
	f.server.bind(cmd)
	f.traceBackendFlags.bind(cmd)
	cmd.Flags().StringVar(&f.service, "service", "", "service.name of the canary (required)")
	cmd.Flags().StringVar(&f.version, "version", "", "service.version of the canary; without it the track alone tells")
	cmd.Flags().DurationVar(&f.since, "since", time.Hour, "how far to look back")
}

func (f *traceFlags) check() error {
	switch {
	case f.service == "":
		return errors.New("--service is required: the service.name of the canary")
	case f.since <= 0:
		return fmt.Errorf("--since %s: want a duration above 0", f.since)
	}
	return f.traceBackendFlags.check()
}

// source returns the backend that the flags name, and its name for people.
func (f *traceFlags) source() (tracing.Source, string, error) {
	return f.traceBackendFlags.source(f.server)
}

func (f *traceFlags) canary(now time.Time) tracing.Canary {
	return tracing.Canary{Service: f.service, Version: f.version, Start: now.Add(-f.since), End: now, Filter: f.filter()}
}
