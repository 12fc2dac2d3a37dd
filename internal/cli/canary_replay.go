package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/replay"
)

type replayOptions struct {
	streams   Streams
	output    outputFlag
	recording string
	config    string
	subject   judge.Subject
	start     string
	end       string
	against   []string
	allChecks bool
}

func newCanaryReplayCommand(s Streams) *cobra.Command {
	o := replayOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "replay RECORDING",
		Short: "Judge a recorded rollout: every look, its evidence, and the decision with its time",
		Long: `Judge a recorded rollout, as the live judge would have.

RECORDING is an OpenMetrics text file with timestamps (plain, .gz or .zst) as
promtool's backfill takes it, the directory of a Prometheus TSDB, or the URL of
a Prometheus-compatible server (then --start and --end say which past range; a
token is read from FAIRLEAD_TOKEN). What lies before --start is the stable
track's history; without --start the canary's first request begins the rollout.

The gates are those of the configuration, the weights those that the recording
shows. A step that is promoted goes on when the recording's weight rises, or at
once where it never does; promotion of the last step, or a rollback at any look,
ends the replay. With -o jsonl there is a line a look and a last line with the
decision of the whole rollout.

Exit codes: 0 promote, 2 rollback, 3 continue, 1 no judgement made.`,
		Example: `  fairlead canary replay rollout.om.gz --service shop --canary-version 2.0.0 --stable-version 1.9.0
  fairlead canary replay rollout.om --config canary.yaml --start 2026-03-01T12:00:00Z -o jsonl
  fairlead canary replay /var/lib/prometheus --config canary.yaml --start 1772366400 --against threshold,flagger,kayenta
  fairlead canary replay http://prometheus:9090 --config canary.yaml --start 2026-03-01T12:00:00Z --end 2026-03-01T13:10:00Z`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			o.recording = args[0]
			return runReplay(cmd.Context(), o)
		},
	}
	o.output.bind(cmd, "table", "json", "yaml", "jsonl")
	cmd.Flags().StringVarP(&o.config, "config", "f", "", "YAML file with service, versions, analysis and steps, or a CanaryRelease")
	bindSubject(cmd, &o.subject)
	cmd.Flags().StringVar(&o.start, "start", "", "when the rollout began: RFC 3339 or seconds since 1970 (default: the canary's first request)")
	cmd.Flags().StringVar(&o.end, "end", "", "when to stop (default: the recording's end)")
	cmd.Flags().StringSliceVar(&o.against, "against", nil, "other deciders to set beside: threshold, flagger, kayenta, sequential")
	cmd.Flags().BoolVar(&o.allChecks, "all-checks", false, "with -o json, yaml and jsonl: every check in every look, not only those that failed or are of all routes")
	return cmd
}

func bindSubject(cmd *cobra.Command, s *judge.Subject) {
	cmd.Flags().StringVar(&s.Service, "service", "", "service.name of both tracks")
	cmd.Flags().StringVar(&s.CanaryVersion, "canary-version", "", "service.version of the canary; without versions the label deployment_track tells")
	cmd.Flags().StringVar(&s.StableVersion, "stable-version", "", "service.version of the stable track")
	cmd.Flags().StringToStringVar(&s.Canary, "canary-match", nil, "more label equalities of the canary's series, as k8s_namespace_name=shop")
	cmd.Flags().StringToStringVar(&s.Stable, "stable-match", nil, "more label equalities of the stable series")
}

// subjectOf is the file's subject with the flags over it.
func subjectOf(f judge.File, flags judge.Subject) judge.Subject {
	s := f.Subject()
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&s.Service, flags.Service)
	set(&s.CanaryVersion, flags.CanaryVersion)
	set(&s.StableVersion, flags.StableVersion)
	if flags.Canary != nil {
		s.Canary = flags.Canary
	}
	if flags.Stable != nil {
		s.Stable = flags.Stable
	}
	return s
}

// parseTime reads RFC 3339 or seconds since 1970.
func parseTime(flag, text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && s < 1e10 {
		return time.UnixMilli(int64(math.Round(s * 1000))).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("--%s %q: want RFC 3339, 2026-03-01T12:00:00Z, or seconds since 1970", flag, text)
}

// openSource opens what RECORDING names. from and to are zero where only the
// flags can say.
func openSource(path string, file judge.File) (backend prom.Backend, from, to time.Time, closer func() error, err error) {
	if !strings.Contains(path, "://") {
		r, err := recording.Open(path)
		if err != nil {
			return nil, from, to, nil, err
		}
		from, to = r.Range()
		return r, from, to, r.Close, nil
	}
	c := prom.Config{}
	if file.Source.Prometheus != nil {
		c = *file.Source.Prometheus
	}
	c.URL = path
	if token := os.Getenv("FAIRLEAD_TOKEN"); token != "" && c.BearerToken+c.BearerTokenFile == "" && c.BasicAuth == nil {
		c.BearerToken = token
	}
	client, err := prom.NewClient(c)
	return client, from, to, func() error { return nil }, err
}

func runReplay(ctx context.Context, o replayOptions) error {
	file, err := judge.ReadFile(o.config)
	if err != nil {
		return err
	}
	var rules []analysis.Rule
	for _, name := range o.against {
		rule := analysis.Rule(name)
		if !slices.Contains([]analysis.Rule{analysis.RuleSequential, analysis.RuleThreshold, analysis.RuleFlagger, analysis.RuleKayenta}, rule) {
			return fmt.Errorf("--against %q: want threshold, flagger, kayenta or sequential", name)
		}
		rules = append(rules, rule)
	}
	backend, from, to, closeSource, err := openSource(o.recording, file)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource() }() // only read from
	source := prom.NewSource(backend)
	subject := subjectOf(file, o.subject)
	o.subject = subject
	start, end, err := o.times(ctx, source, file.Analysis, subject, from, to)
	if err != nil {
		return err
	}
	session, err := judge.Open(ctx, source, file.Analysis, subject, start)
	if err != nil {
		return err
	}
	// The last scrape may come a little before its interval ends.
	intervals, err := session.Collect(ctx, end.Add(time.Duration(session.Config().ScrapeInterval)/2))
	if err != nil {
		return err
	}
	if len(intervals) == 0 {
		return fmt.Errorf("the recording ends at %s, before a whole interval after the start, %s", end.UTC().Format(time.RFC3339), start.UTC().Format(time.RFC3339))
	}
	plan := planOf(file)
	segments := replay.Segments(intervals, plan.Weights())
	p := &replayPrinter{o: o, session: session, start: start}
	p.head(segments)
	outcome, err := replay.Run(session.Judge(), plan, start, intervals, segments, p.look)
	if err != nil {
		return err
	}
	var others []decided
	for _, rule := range rules {
		other, err := session.Rejudge(rule)
		if err != nil {
			return err
		}
		out, err := replay.Run(other, plan, start, intervals, segments, func(replay.Look, *analysis.Judge) error { return nil })
		if err != nil {
			return err
		}
		others = append(others, newDecided(rule, out))
	}
	if err := p.end(outcome, others); err != nil {
		return err
	}
	return exitOf(outcome.Decision)
}

// times works out the range: from the flags, from the recording.
func (o *replayOptions) times(ctx context.Context, source analysis.Source, config analysis.Config, subject judge.Subject, from, to time.Time) (start, end time.Time, err error) {
	end = to
	if o.end != "" {
		if end, err = parseTime("end", o.end); err != nil {
			return start, end, err
		}
	}
	if o.start != "" {
		if start, err = parseTime("start", o.start); err != nil {
			return start, end, err
		}
		if from.IsZero() && o.end == "" {
			end = time.Now().UTC()
		}
		if !end.After(start) {
			return start, end, fmt.Errorf("--start %s: the recording is from %s to %s", o.start, from.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
		}
		return start, end, nil
	}
	if from.IsZero() {
		return start, end, errors.New("--start is required for a server: when the rollout began")
	}
	start, found, err := judge.CanaryStart(ctx, source, config, subject, from, end)
	if err == nil && !found {
		err = fmt.Errorf("no series of the canary in the recording (%s to %s): are --service %q and --canary-version %q right?",
			from.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339), subject.Service, subject.CanaryVersion)
	}
	return start, end, err
}

func planOf(f judge.File) replay.Plan {
	p := replay.Plan{Deadline: time.Duration(f.Deadline), RollbackAtDeadline: f.OnInconclusive == judge.OnInconclusiveRollback}
	for _, s := range f.Steps {
		p.Steps = append(p.Steps, replay.Step{Weight: s.Weight / 100, Gate: time.Duration(s.Gate)})
	}
	return p
}

// exitOf is the exit code of a decision.
func exitOf(d analysis.Decision) error {
	switch d {
	case analysis.Promote:
		return nil
	case analysis.Rollback:
		return Exit(ExitRollback)
	default:
		return Exit(ExitContinue)
	}
}
