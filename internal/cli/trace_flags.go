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

// traceFlags say where traces are, whose, and what may be shown of them.
type traceFlags struct {
	server        serverFlags
	tempo, jaeger string
	headers       map[string]string
	service       string
	version       string
	since         time.Duration
	url           string
	deny, allow   []string
}

func (f *traceFlags) bind(cmd *cobra.Command) {
	f.server.bind(cmd)
	cmd.Flags().StringVar(&f.tempo, "tempo", os.Getenv("TEMPO_URL"), "URL of a Tempo to ask instead of the fairlead server; TEMPO_URL")
	cmd.Flags().StringVar(&f.jaeger, "jaeger", os.Getenv("JAEGER_URL"), "URL of a Jaeger query service to ask instead; JAEGER_URL")
	cmd.Flags().StringToStringVar(&f.headers, "header", nil, "header for the backend, as X-Scope-OrgID=team (token: FAIRLEAD_TRACES_TOKEN)")
	cmd.Flags().StringVar(&f.service, "service", "", "service.name of the canary (required)")
	cmd.Flags().StringVar(&f.version, "version", "", "service.version of the canary; without it the track alone tells")
	cmd.Flags().DurationVar(&f.since, "since", time.Hour, "how far to look back")
	cmd.Flags().StringVar(&f.url, "trace-url", os.Getenv("FAIRLEAD_TRACE_URL"), "link to a trace, with {traceId} where the id goes; FAIRLEAD_TRACE_URL")
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil, "only these attributes, as http.route or app.*")
	cmd.Flags().StringSliceVar(&f.deny, "deny", nil, "never these attributes, as app.customer or tenant.*")
}

func (f *traceFlags) check() error {
	switch {
	case f.service == "":
		return errors.New("--service is required: the service.name of the canary")
	case f.since <= 0:
		return fmt.Errorf("--since %s: want a duration above 0", f.since)
	case f.tempo != "" && f.jaeger != "":
		return errors.New("--tempo and --jaeger: name one of them")
	case f.url != "" && !strings.Contains(f.url, "{traceId}"):
		return fmt.Errorf("--trace-url %q: want {traceId} where the id goes", f.url)
	}
	return nil
}

// source returns the backend that the flags name, and its name for people.
func (f *traceFlags) source() (tracing.Source, string, error) {
	o := tracing.Options{Headers: f.headers, Token: os.Getenv("FAIRLEAD_TRACES_TOKEN")}
	switch {
	case f.jaeger != "":
		s, err := tracing.NewJaeger(f.jaeger, o)
		return s, "Jaeger at " + f.jaeger, err
	case f.tempo != "":
		s, err := tracing.NewTempo(f.tempo, o)
		return s, "Tempo at " + f.tempo, err
	default:
		client := f.server.client()
		base := client.Server
		if base == "" {
			base = api.DefaultServer
		}
		o.Token = client.Token
		s, err := tracing.NewTempo(strings.TrimSuffix(base, "/")+"/tempo", o)
		return s, "the fairlead server at " + base, err
	}
}

func (f *traceFlags) canary(now time.Time) tracing.Canary {
	return tracing.Canary{
		Service: f.service, Version: f.version, Start: now.Add(-f.since), End: now,
		Filter: explain.Filter{Allow: f.allow, Deny: f.deny},
	}
}

// link returns where a trace can be looked at, "" when nobody said where.
func (f *traceFlags) link(traceID string) string {
	if f.url == "" {
		return ""
	}
	return strings.ReplaceAll(f.url, "{traceId}", traceID)
}
