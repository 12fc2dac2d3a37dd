package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

type analyzeOptions struct {
	streams    Streams
	output     outputFlag
	server     serverFlags
	file       string
	prometheus string
	subject    judge.Subject
	weight     float64
	gate       time.Duration
	start      string
	age        time.Duration
	pods       podAge
	traces     traceBackendFlags
	watch      bool
	timeout    time.Duration
	delay      time.Duration
	junit      string
	now        func() time.Time
}

func newCanaryAnalyzeCommand(s Streams) *cobra.Command {
	o := analyzeOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "analyze",
		Short: "Judge a canary now, or watch it until it is decided",
		Long: `Judge a canary against its stable version: promote, rollback or continue, with
the evidence.

The samples come from the fairlead server, or from any Prometheus-compatible
server. Everything since the canary began is folded each time, so a periodic job
needs no memory: its verdicts accumulate evidence and its looks are paid for
once. The canary's age is that of its pods (--selector), or the time since its
first request, or what --age or --start say.

Exit codes: 0 promote, 2 rollback, 3 continue, 4 --timeout ran out while
watching, 1 no judgement made (usage, credentials, backend), 130 interrupted.`,
		Example: `  fairlead canary analyze --service shop --canary-version 2.0.0 --stable-version 1.9.0
  fairlead canary analyze -f canary.yaml --watch --timeout 45m
  fairlead canary analyze -f canary.yaml --prometheus http://prometheus:9090 --weight 5 --gate 10m -o json
  fairlead canary analyze -f canary.yaml -n shop --selector app=shop,track=canary --junit canary.xml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runAnalyze(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.output.bind(cmd, "table", "json", "yaml")
	o.server.bind(cmd)
	f.StringVarP(&o.file, "file", "f", "", "YAML file with service, versions, analysis and source, or a CanaryRelease")
	f.StringVar(&o.prometheus, "prometheus", os.Getenv("PROMETHEUS_URL"), "URL of a Prometheus-compatible server to ask instead of the fairlead server; PROMETHEUS_URL")
	bindSubject(cmd, &o.subject)
	f.Float64Var(&o.weight, "weight", 0, "percent of the traffic that the canary should get; without it the share is not checked")
	f.DurationVar(&o.gate, "gate", 0, "how long to watch before a promotion (default: the file's minAnalysisMinutes, 10m)")
	f.StringVar(&o.start, "start", "", "when the canary began: RFC 3339 or seconds since 1970")
	f.DurationVar(&o.age, "age", 0, "how long ago the canary began")
	o.pods.bind(cmd)
	o.traces.bind(cmd)
	f.BoolVarP(&o.watch, "watch", "w", false, "look again at every scrape until the canary is decided")
	f.DurationVar(&o.timeout, "timeout", 2*time.Hour, "with --watch: give up after this time")
	f.DurationVar(&o.delay, "delay", 5*time.Second, "how long after an interval's end its samples are asked for")
	f.StringVar(&o.junit, "junit", "", "write a JUnit report to this file")
	return cmd
}

func (o *analyzeOptions) check() error {
	switch {
	case o.output.check() != nil:
		return o.output.check()
	case o.weight < 0 || o.weight >= 100:
		return fmt.Errorf("--weight %g: want 0 (unknown) to less than 100 percent", o.weight)
	case o.gate < 0:
		return fmt.Errorf("--gate %s: want a duration above 0", o.gate)
	case o.age < 0:
		return fmt.Errorf("--age %s: want a duration above 0", o.age)
	case o.age > 0 && o.start != "":
		return errors.New("--age and --start: give one of them")
	case o.delay < 0 || o.delay > 10*time.Minute:
		return fmt.Errorf("--delay %s: want 0s to 10m", o.delay)
	}
	if err := o.traces.check(); err != nil {
		return err
	}
	return o.pods.check()
}

// traceSource says which traces explain a rollback: the flags', the file's, the
// fairlead server's where it is asked for the metrics; nil where none is known.
func (o *analyzeOptions) traceSource(file judge.File) (tracing.Source, error) {
	switch {
	case o.traces.asked():
	case file.Traces != nil:
		return file.Traces.Open(nil)
	case o.prometheus != "" || file.Source.Prometheus != nil && file.Source.Prometheus.URL != "":
		return nil, nil
	}
	s, _, err := o.traces.source(o.server)
	return s, err
}

// explanation adds what the canary's traces say to a verdict of rollback. Not to
// be able to ask changes no verdict.
func (o *analyzeOptions) explanation(ctx context.Context, file judge.File, traces tracing.Source, metrics analysis.Source, subject judge.Subject, v analysis.Verdict, start time.Time) judge.Report {
	filter := o.traces.filter()
	if file.Traces != nil {
		filter.Allow, filter.Deny = append(filter.Allow, file.Traces.Allow...), append(filter.Deny, file.Traces.Deny...)
	}
	r := judge.NewReport(ctx, v, judge.Telemetry{Traces: traces, Metrics: metrics, Config: file.Analysis}, subject, start, o.now(), filter)
	if r.ExplanationError != "" {
		fmt.Fprintln(o.streams.Err, "traces:", r.ExplanationError)
	}
	return r
}

// sourceConfig says which server to ask: the flag, the file, the fairlead server.
func (o *analyzeOptions) sourceConfig(file judge.File) prom.Config {
	c := prom.Config{}
	if file.Source.Prometheus != nil {
		c = *file.Source.Prometheus
	}
	client := o.server.client()
	switch {
	case o.prometheus != "":
		c.URL = o.prometheus
	case c.URL == "":
		c.URL = strings.TrimRight(nameOr(client.Server, api.DefaultServer), "/") + "/prometheus"
	}
	if client.Token != "" && c.BearerToken+c.BearerTokenFile == "" && c.BasicAuth == nil {
		c.BearerToken = client.Token
	}
	return c
}

func runAnalyze(ctx context.Context, o analyzeOptions) error {
	file, err := judge.ReadFile(o.file)
	if err != nil {
		return err
	}
	subject := subjectOf(file, o.subject)
	if _, err := subject.Tracks(); err != nil {
		return fmt.Errorf("%w\nhint: --service, --canary-version and --stable-version say whose canary is judged", err)
	}
	client, err := prom.NewClient(o.sourceConfig(file))
	if err != nil {
		return err
	}
	if o.watch {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	traces, err := o.traceSource(file)
	if err != nil {
		return err
	}
	if o.traces.url == "" && file.Traces != nil {
		o.traces.url = file.Traces.Link
	}
	source := prom.NewSource(client)
	began := o.now()
	start, err := o.canaryStart(ctx, source, file.Analysis, subject, began)
	if err != nil {
		return o.ended(ctx, err)
	}
	session, err := judge.Open(ctx, source, file.Analysis, subject, start)
	if err != nil {
		return o.ended(ctx, err)
	}
	step := analysis.StepContext{Weight: o.weight / 100, Start: start, Gate: analysis.Duration(o.gate)}
	if step.Gate == 0 {
		step.Gate = analysis.Duration(file.Analysis.MinAnalysisMinutes * float64(time.Minute))
	}
	if err := session.Judge().Begin(step); err != nil {
		return err
	}
	o.foretell(session, step)
	if err := o.follow(ctx, session); err != nil {
		return o.ended(ctx, err)
	}
	for _, note := range session.Notes() {
		fmt.Fprintln(o.streams.Err, "note:", note)
	}
	v := session.Judge().Verdict()
	report := o.explanation(context.WithoutCancel(ctx), file, traces, source, subject, v, start)
	o.record(ctx, subject, report, began)
	if err := o.report(subject, report); err != nil {
		return err
	}
	return exitOf(v.Decision)
}

// ended tells a time-out and an interruption from an error.
func (o *analyzeOptions) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &CodeError{Code: ExitTimeout, Err: fmt.Errorf("no decision within --timeout %s", o.timeout)}
	case ctx.Err() != nil:
		return Exit(ExitInterrupted)
	}
	return err
}

// canaryStart finds when the canary began: what the flags say, the age of its
// pods, its first request. A canary that has none begins now.
func (o *analyzeOptions) canaryStart(ctx context.Context, source analysis.Source, config analysis.Config, subject judge.Subject, now time.Time) (time.Time, error) {
	switch {
	case o.start != "":
		start, err := parseTime("start", o.start)
		if err == nil && !start.Before(now) {
			err = fmt.Errorf("--start %s: is in the future", o.start)
		}
		return start, err
	case o.age > 0:
		return now.Add(-o.age), nil
	case o.pods.asked():
		start, err := o.pods.oldest(ctx)
		if err != nil || !start.IsZero() {
			return start, err
		}
		fmt.Fprintf(o.streams.Err, "note: no pod in namespace %s has the labels %s: the canary's first request tells its age\n", o.pods.namespace, o.pods.selector)
	}
	start, found, err := judge.NewestStart(ctx, source, config, subject, now)
	if err != nil || found {
		return start, err
	}
	if o.watch {
		return now, nil
	}
	// Long enough to tell a canary that is missing from one that just came.
	return now.Add(-time.Duration(config.Window)), nil
}

// foretell says before the first look what can be found at all.
func (o *analyzeOptions) foretell(s *judge.Session, step analysis.StepContext) {
	f := s.Frozen()
	w := o.streams.Err
	if f.Fallback != "" {
		fmt.Fprintf(w, "history: %s\n", f.Fallback)
	}
	if f.RequestRate <= 0 || step.Weight <= 0 || s.Config().Rule != analysis.RuleSequential {
		return
	}
	rate := f.RequestRate * step.Weight / (1 - step.Weight) // history is stable's traffic alone
	if rate > f.RequestRate {
		rate = f.RequestRate
	}
	requests := rate * time.Duration(step.Gate).Seconds()
	fmt.Fprintf(w, "at %.3g requests/s the canary needs %s for the first verdict; within the gate of %s an error rate of %.3g %% and more can be found (stable's is %.3g %%)\n",
		rate, short(time.Duration(float64(s.Config().MinRequests)/rate*float64(time.Second))), step.Gate, 100*s.Judge().Detectable(requests), 100*f.Pool)
}

// patience is for how long a backend may be away while watching.
const patience = 5 * time.Minute

// follow folds what there is and, when watching, what comes, until a decision.
func (o *analyzeOptions) follow(ctx context.Context, s *judge.Session) error {
	step := time.Duration(s.Config().ScrapeInterval)
	var failing time.Time
	last := ""
	for {
		err := o.fold(ctx, s)
		now := o.now()
		switch {
		case err == nil:
			failing = time.Time{}
		case !o.watch || !errors.Is(err, prom.ErrUnavailable):
			return err
		case failing.IsZero():
			failing = now
			fallthrough
		default:
			fmt.Fprintf(o.streams.Err, "could not ask: %v\n", err)
			if now.Sub(failing) > patience {
				return err
			}
		}
		decision, reason, _ := s.Judge().Outcome()
		if !o.watch || decision != analysis.Continue || reason == analysis.ReasonInconclusive {
			return nil
		}
		if v := s.Judge().Verdict(); err == nil && v.Message != last {
			last = v.Message
			fmt.Fprintf(o.streams.Err, "%s %s (%s): %s\n", now.UTC().Format("15:04:05"), v.Decision, v.Reason, v.Message)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
		}
	}
}

// fold adds intervals until a decision: what comes after it was not needed.
func (o *analyzeOptions) fold(ctx context.Context, s *judge.Session) error {
	for iv, err := range s.Intervals(ctx, o.now().Add(-o.delay)) {
		if err != nil {
			return err
		}
		if err := s.Judge().Add(iv); err != nil {
			return err
		}
		if decision, _, _ := s.Judge().Outcome(); decision == analysis.Rollback {
			return nil
		}
	}
	return nil
}

// record sends the analysis' span; failing to is no reason for another verdict.
func (o *analyzeOptions) record(ctx context.Context, subject judge.Subject, v judge.Report, began time.Time) {
	ctx = context.WithoutCancel(ctx)
	e := emit.Open(ctx, emit.Options{Version: version, ServiceName: "fairlead"})
	judge.Record(e.FromEnvironment(ctx), e.Tracer(), subject, v, began, o.now())
	e.Measure(judge.Scope, judge.Metrics(subject, v.Verdict, o.now())...)
	if err := e.Close(ctx); err != nil {
		fmt.Fprintln(o.streams.Err, "telemetry:", err)
	}
}

// report writes the verdict to where people and pipelines look.
func (o *analyzeOptions) report(subject judge.Subject, v judge.Report) error {
	if o.junit != "" {
		f, err := os.Create(o.junit)
		if err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
		if err := errors.Join(writeJUnit(f, subject, v.Verdict), f.Close()); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if path := os.Getenv("GITHUB_STEP_SUMMARY"); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = errors.Join(writeSummary(f, subject, v), f.Close())
		}
		if err != nil {
			fmt.Fprintln(o.streams.Err, "GITHUB_STEP_SUMMARY:", err)
		}
	}
	if os.Getenv("GITHUB_ACTIONS") == "true" && v.Decision == analysis.Rollback {
		fmt.Fprintf(o.streams.Err, "::error title=Canary %s rolled back::%s\n", subject.Service, strings.ReplaceAll(v.Message, "\n", " "))
	}
	if done, err := o.output.encode(o.streams.Out, v); done {
		return err
	}
	if err := writeVerdict(o.streams.Out, subject, v.Verdict); err != nil {
		return err
	}
	if v.Explanation != nil {
		fmt.Fprintln(o.streams.Out)
		printExplanation(o.streams.Out, *v.Explanation, o.traces.link)
	}
	return nil
}
