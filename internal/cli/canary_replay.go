package cli

import (
	"context"
	"encoding/json"
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

// lookLine is a line of -o jsonl. Its fields are documented in docs/replay.md.
type lookLine struct {
	Type     string             `json:"type"` // look
	At       time.Time          `json:"at"`
	Elapsed  float64            `json:"elapsed_s"`
	Step     int                `json:"step"`
	Weight   float64            `json:"weight"`
	Promoted bool               `json:"promoted,omitempty"`
	Decision analysis.Decision  `json:"decision"`
	Reason   analysis.Reason    `json:"reason"`
	Message  string             `json:"message"`
	Results  analysis.Results   `json:"results"`
	Evidence *analysis.Evidence `json:"evidence,omitempty"`
	Checks   []analysis.Check   `json:"checks"`
	Problems []analysis.Problem `json:"problems,omitempty"`
}

// decisionLine is the last line of -o jsonl.
type decisionLine struct {
	Type       string             `json:"type"` // decision
	Decision   analysis.Decision  `json:"decision"`
	Reason     analysis.Reason    `json:"reason"`
	At         time.Time          `json:"at"`
	Elapsed    float64            `json:"elapsed_s"`
	Step       int                `json:"step"`
	Message    string             `json:"message"`
	Ended      bool               `json:"recording_ended,omitempty"`
	Attributed []string           `json:"attributed,omitempty"`
	Results    analysis.Results   `json:"results"`
	Evidence   *analysis.Evidence `json:"evidence,omitempty"`
	Checks     []analysis.Check   `json:"checks"`
	Against    []decided          `json:"against,omitempty"`
	Service    string             `json:"service"`
	Start      time.Time          `json:"start"`
	Problems   []analysis.Problem `json:"problems,omitempty"`
}

// decided is what another rule decided on the same recording.
type decided struct {
	Rule     analysis.Rule     `json:"rule"`
	Decision analysis.Decision `json:"decision"`
	Reason   analysis.Reason   `json:"reason"`
	At       time.Time         `json:"at"`
	Elapsed  float64           `json:"elapsed_s"`
	Step     int               `json:"step"`
	Message  string            `json:"message"`
}

func newDecided(rule analysis.Rule, o replay.Outcome) decided {
	return decided{Rule: rule, Decision: o.Decision, Reason: o.Reason, At: o.At.UTC(), Elapsed: o.Elapsed.Seconds(), Step: o.Step, Message: o.Message}
}

// replayPrinter writes looks as they come, and the decision.
type replayPrinter struct {
	o       replayOptions
	session *judge.Session
	start   time.Time
	looks   []lookLine
}

func (p *replayPrinter) head(segments []replay.Segment) {
	if p.o.output.value != "table" {
		return
	}
	w := p.o.streams.Out
	f := p.session.Frozen()
	fmt.Fprintf(w, "start     %s\n", p.start.UTC().Format(time.RFC3339))
	if f.Fallback != "" {
		fmt.Fprintf(w, "history   %s\n", f.Fallback)
	} else {
		fmt.Fprintf(w, "history   %s of %d stable pods, %.4g requests/s, %.3g %% errors\n", short(f.To.Sub(f.From)), f.Pods, f.RequestRate, 100*f.Pool)
	}
	var shown []string
	for _, s := range segments {
		shown = append(shown, fmt.Sprintf("%.3g %% from +%s", 100*s.Weight, short(s.Start.Sub(p.start))))
	}
	if len(shown) == 0 {
		shown = []string{"the canary has no requests"}
	}
	fmt.Fprintf(w, "weights   %s\n\n", strings.Join(shown, ", "))
	fmt.Fprintf(w, "%-8s %-4s %6s  %-8s %-17s %11s  %-22s %-22s\n", "AFTER", "STEP", "WEIGHT", "DECISION", "REASON", "EVIDENCE", "CANARY ERRORS", "STABLE ERRORS")
}

func (p *replayPrinter) look(l replay.Look, j *analysis.Judge) error {
	v := j.Verdict()
	line := lookLine{
		Type: "look", At: l.At.UTC(), Elapsed: l.Elapsed.Seconds(), Step: l.Step, Weight: l.Weight, Promoted: l.Promoted,
		Decision: l.Decision, Reason: l.Reason, Message: v.Message, Results: v.Results, Evidence: v.Evidence, Checks: v.Checks, Problems: v.Problems,
	}
	if !p.o.allChecks {
		line.Checks = slices.DeleteFunc(slices.Clone(v.Checks), func(c analysis.Check) bool {
			return c.Route != "" && c.State != analysis.CheckFailed
		})
	}
	switch p.o.output.value {
	case "jsonl":
		return json.NewEncoder(p.o.streams.Out).Encode(line)
	case "table":
		_, err := fmt.Fprintln(p.o.streams.Out, lookRow(l, v))
		return err
	default:
		p.looks = append(p.looks, line)
		return nil
	}
}

// lookRow is a look in one line for people.
func lookRow(l replay.Look, v analysis.Verdict) string {
	evidence := "-"
	if v.Evidence != nil {
		evidence = fmt.Sprintf("%.3g/%.3g", v.Evidence.E, v.Evidence.Limit)
	}
	canary, stable := "-", "-"
	for _, c := range v.Checks {
		if c.Metric == analysis.MetricErrorRate && c.Route == "" {
			canary, stable = countText(c.Counts.Canary), countText(c.Counts.Stable)
		}
	}
	return strings.TrimRight(fmt.Sprintf("%-8s %-4d %5.3g%%  %-8s %-17s %11s  %-22s %-22s", short(l.Elapsed), l.Step+1, 100*l.Weight, l.Decision, l.Reason, evidence, canary, stable), " ")
}

// countText is "12/3400 (0.35 %)".
func countText(c analysis.Count) string {
	return fmt.Sprintf("%.0f/%.0f (%.2g %%)", c.Events, c.Units, 100*c.Rate())
}

func (p *replayPrinter) end(o replay.Outcome, others []decided) error {
	last := decisionLine{
		Type: "decision", Decision: o.Decision, Reason: o.Reason, At: o.At.UTC(), Elapsed: o.Elapsed.Seconds(), Step: o.Step, Message: o.Message, Ended: o.Ended,
		Attributed: o.Verdict.Attributed, Results: o.Verdict.Results, Evidence: o.Verdict.Evidence, Checks: o.Verdict.Checks,
		Against: others, Start: p.start.UTC(), Problems: o.Verdict.Problems, Service: p.o.subject.Service,
	}
	w := p.o.streams.Out
	switch p.o.output.value {
	case "jsonl":
		return json.NewEncoder(w).Encode(last)
	case "table":
		fmt.Fprintf(w, "\n%s (%s) after %s, step %d: %s\n", strings.ToUpper(string(o.Decision)), o.Reason, short(o.Elapsed), o.Step+1, o.Message)
		if len(o.Verdict.Attributed) > 0 {
			fmt.Fprintf(w, "traced to: %s\n", strings.Join(o.Verdict.Attributed, ", "))
		}
		if len(others) > 0 {
			fmt.Fprintln(w)
			rows := [][]string{{"RULE", "DECISION", "REASON", "AFTER", "STEP"}, {string(o.Verdict.Rule) + "*", string(o.Decision), string(o.Reason), short(o.Elapsed), strconv.Itoa(o.Step + 1)}}
			for _, d := range others {
				rows = append(rows, []string{string(d.Rule), string(d.Decision), string(d.Reason), short(time.Duration(d.Elapsed * float64(time.Second))), strconv.Itoa(d.Step + 1)})
			}
			if err := table(w, rows); err != nil {
				return err
			}
		}
		for _, note := range p.session.Notes() {
			fmt.Fprintln(p.o.streams.Err, "note:", note)
		}
		return nil
	default:
		_, err := p.o.output.encode(w, struct {
			decisionLine
			Looks []lookLine `json:"looks"`
		}{last, p.looks})
		return err
	}
}
