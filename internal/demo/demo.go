// Package demo tells the whole story on one machine, without a cluster: real
// processes behind a real weighted proxy, real load, telemetry over OTLP into a
// real server, the judge and rollout.Decide. A good version of a shop is
// promoted; a bad one is rolled back and its failed traces are explained.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/demo/app"
	"fairlead.dev/fairlead/internal/demo/load"
	"fairlead.dev/fairlead/internal/demo/split"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/server"
	"fairlead.dev/fairlead/internal/tracing"
)

const (
	namespace = "demo"
	// exportInterval is how often the shop exports metrics: 15 s in production.
	exportInterval = 500 * time.Millisecond
	// rate is requests per second. A canary that gets 5 % of them has the 100
	// requests that any verdict needs after ten seconds.
	rate = 200
	// history is how long stable runs before the first canary, in place of an hour.
	history = 20 * time.Second
	// between is how long the promoted version serves before the next canary.
	between       = 5 * time.Second
	stableProcess = 3
)

// plan is the usual rollout with gates of seconds in place of minutes.
func plan() rollout.Plan {
	return rollout.Plan{
		Steps: []rollout.Step{
			{Weight: 5, Gate: 12 * time.Second}, {Weight: 25, Gate: 8 * time.Second}, {Weight: 50, Gate: 8 * time.Second}, {Weight: 100},
		},
		Deadline: 3 * time.Minute,
	}.WithDefaults()
}

// Options say how the demo runs.
type Options struct {
	Version string // of this program
	// Self and AppArgs are the command that runs package app.
	Self    string
	AppArgs []string
	// HTTP is the address of the server's pages; port 0 is any free one.
	HTTP string
	// Data is where telemetry is kept; "" is a directory that is removed at the end.
	Data string
	// Part is what is told; "" is all.
	Part Part
	// Cluster is where the Helm half runs, Image an image of this program there,
	// see [ReleasesOptions]; "" leaves it out.
	Cluster Cluster
	Image   string
	// Keep keeps all running after the story until ctx ends.
	Keep bool
	// Opened is told the address of the pages once they are there; may be nil.
	Opened func(url string)
	Out    io.Writer
	// Color allows escape sequences in Out.
	Color bool
}

// ErrUnexpected says that the story went another way than it is told.
var ErrUnexpected = errors.New("the demo ended otherwise than it should")

// Run tells the story. It returns ctx's error when it was interrupted before the
// end, and leaves no process and no file behind in any case.
func Run(ctx context.Context, o Options) (err error) {
	s := &stage{options: o, story: &story{out: o.Out, color: o.Color, began: time.Now()}}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.tell(ctx); err != nil {
		return err
	}
	if o.Keep {
		s.story.keep(s.base)
		<-ctx.Done()
	}
	return nil
}

// stage is all that runs.
type stage struct {
	options Options
	story   *story

	dir     string // to remove
	server  *server.Server
	base    string // URL of pages and query APIs
	emitter *emit.Emitter
	source  *prom.Source
	traces  tracing.Source

	launcher       launcher
	payments       *process
	stable, canary *workload
	proxy          *split.Proxy
	entry          *http.Server
	shopURL        string
	work           sync.WaitGroup
	stopLoad       context.CancelFunc
	attempt        int
}

func (s *stage) open(ctx context.Context) error {
	if err := s.openServer(ctx); err != nil {
		return err
	}
	s.story.begin(s.options.Part)
	s.story.server(s.base, s.dataDir())
	if s.options.Opened != nil {
		s.options.Opened(s.base + "/")
	}
	if s.options.Part == PartHelm {
		return nil
	}
	if err := s.openShop(ctx); err != nil {
		return err
	}
	s.story.shop(s.stable.version.name, s.shopURL)
	return s.openLoad(ctx)
}

func (s *stage) dataDir() string {
	if s.options.Data != "" {
		return s.options.Data
	}
	return s.dir
}

func (s *stage) openServer(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.HTTP)
	if err != nil {
		return fmt.Errorf("--http %s: %w\nhint: another fairlead server may be running; --http 127.0.0.1:0 takes any free port", s.options.HTTP, err)
	}
	listener.Close()
	if s.dir, err = os.MkdirTemp("", "fairlead-demo-"); err != nil {
		return err
	}
	cfg := config.Default()
	cfg.Store.Dir = filepath.Join(s.dataDir(), "data")
	cfg.Listen.HTTP, cfg.Listen.OTLPHTTP, cfg.Listen.OTLPGRPC = s.options.HTTP, "127.0.0.1:0", config.Off
	log := slog.New(slog.NewTextHandler(s.story, &slog.HandlerOptions{Level: slog.LevelError}))
	srv, err := server.Open(ctx, cfg, server.Options{Version: s.options.Version, Logger: log})
	if err != nil {
		return err
	}
	s.server = srv
	if err := srv.Start(ctx); err != nil {
		return err
	}
	s.base = "http://" + srv.HTTPAddr()
	_, otlp := srv.OTLPAddrs()
	s.launcher = newLauncher(s.options.Self, s.options.AppArgs, "http://"+otlp)
	if s.emitter, err = openEmitter(ctx, s.options.Version, "http://"+otlp); err != nil {
		return err
	}
	client, err := prom.NewClient(prom.Config{URL: s.base + "/prometheus"})
	if err != nil {
		return err
	}
	s.source = prom.NewSource(client)
	s.traces, err = tracing.NewTempo(s.base+"/tempo", tracing.Options{})
	return err
}

// openEmitter sends what the rollout tells of itself to this server, whatever
// the environment says of others.
func openEmitter(ctx context.Context, version, otlp string) (*emit.Emitter, error) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	if err := os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp); err != nil {
		return nil, err
	}
	return emit.Open(ctx, emit.Options{Version: version, ServiceName: "fairlead"}), nil
}

func (s *stage) openShop(ctx context.Context) (err error) {
	s.payments, err = s.launcher.start(ctx, "payments-1", "3.0.0", "stable", "--role", app.RolePayments)
	if err != nil {
		return err
	}
	track := func(name string) *workload {
		return &workload{launcher: s.launcher, track: name, payments: s.payments.url.String(), version: version{"1.0.0", "v1"}}
	}
	s.stable, s.canary = track("stable"), track("canary")
	if err := s.stable.scale(ctx, stableProcess); err != nil {
		return err
	}
	s.proxy = split.Between(s.stable, s.canary)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.shopURL = "http://" + listener.Addr().String()
	s.entry = &http.Server{Handler: s.proxy, ReadHeaderTimeout: 5 * time.Second}
	s.work.Go(func() { _ = s.entry.Serve(listener) }) // until it is closed
	return nil
}

func (s *stage) openLoad(ctx context.Context) error {
	ctx, s.stopLoad = context.WithCancel(ctx)
	s.work.Go(func() {
		if _, err := load.Run(ctx, load.Options{Target: s.shopURL, Paths: app.Paths, Rate: rate}); err != nil {
			s.story.warn(err)
		}
	})
	return nil
}

// tell is the story.
func (s *stage) tell(ctx context.Context) error {
	if s.options.Part != PartHelm {
		if err := s.canaries(ctx); err != nil {
			return err
		}
	}
	if s.options.hasReleases() {
		return s.releases(ctx)
	}
	return nil
}

func (s *stage) canaries(ctx context.Context) error {
	s.story.history(history)
	if err := sleep(ctx, history); err != nil {
		return err
	}
	good, bad := version{"1.1.0", "v1"}, version{"1.2.0", "v2"}

	s.story.chapter("1. shop 1.1.0, a good version")
	state, d, err := s.rollOut(ctx, good, rollout.State{})
	if err != nil {
		return err
	}
	s.story.ended(state, d, s.base)
	if state.Phase != rollout.PhaseSucceeded {
		return fmt.Errorf("%w: shop %s should be promoted and is %s: %s", ErrUnexpected, good.name, state.Phase, state.Message)
	}
	if err := sleep(ctx, between); err != nil {
		return err
	}

	s.story.chapter("2. shop 1.2.0, whose checkout pays through another interface of the payment provider")
	state, d, err = s.rollOut(ctx, bad, state)
	if err != nil {
		return err
	}
	if err := s.explain(ctx, d); err != nil {
		return err
	}
	s.story.ended(state, d, s.base)
	if state.Phase != rollout.PhaseRolledBack || state.Reason != rollout.ReasonAnalysis {
		return fmt.Errorf("%w: shop %s should be rolled back for its errors and is %s (%s): %s", ErrUnexpected, bad.name, state.Phase, state.Reason, state.Message)
	}
	return nil
}

func (s *stage) rollOut(ctx context.Context, v version, before rollout.State) (rollout.State, *driver, error) {
	s.attempt++
	s.canary.version = v
	stable := s.stable.version.name
	p := plan()
	d := &driver{
		stable: s.stable, canary: s.canary, proxy: s.proxy, emitter: s.emitter, story: s.story, plan: p,
		id: rollout.ID(fmt.Sprintf("demo-%d", s.story.began.Unix()), v.name, s.attempt), stableVersion: stable,
		gate: &gate{source: s.source, plan: p, subject: judge.Subject{Service: app.RoleShop, CanaryVersion: v.name, StableVersion: stable}},
	}
	state, err := d.run(ctx, before)
	return state, d, err
}

// explain asks what the canary's failed traces have in common, and adds it to
// the rollout's record.
func (s *stage) explain(ctx context.Context, d *driver) error {
	// The payment provider has a track of its own, which would read as the shop's.
	filter := explain.Filter{Deny: []string{"deployment.track"}}
	found, err := judge.Explain(ctx, judge.Telemetry{Traces: s.traces, Metrics: s.source, Config: analysisConfig()}, d.gate.subject, d.state.Started, time.Now(), filter)
	if err != nil {
		return fmt.Errorf("explain the failed traces: %w", err)
	}
	d.explanation = found
	if findings := found.Errors.Findings; len(findings) > 0 && len(findings[0].Examples) > 0 {
		if trace, err := s.traces.Get(ctx, findings[0].Examples[0]); err == nil {
			d.example = inWords(trace)
		}
	}
	d.record(ctx, rollout.Action{Kind: rollout.ActWait, Reason: d.state.Reason, Message: d.state.Message, State: d.state}, time.Now())
	return nil
}

// inWords tells a failed trace: its route, and its failed spans from the cause up.
func inWords(t explain.Trace) string {
	failures := explain.Failures([]explain.Trace{t}, app.RoleShop)
	if len(failures) == 0 {
		return ""
	}
	f := failures[0]
	text := fmt.Sprintf("%s after %.0f ms", f.Route, f.DurationMS)
	for i, e := range f.Errors {
		text += []string{": ", " < "}[min(i, 1)] + e.Name
		if e.ExceptionMessage != "" && i == 0 {
			text += fmt.Sprintf(" (%s)", e.ExceptionMessage)
		}
	}
	return text
}

// close ends everything in the order in which it depends on the rest.
func (s *stage) close() error {
	var errs []error
	if s.stopLoad != nil {
		s.stopLoad()
	}
	if s.entry != nil {
		errs = append(errs, s.entry.Close())
	}
	s.work.Wait()
	var wg sync.WaitGroup
	var stopped [3]error
	if s.stable != nil {
		wg.Go(func() { stopped[0] = s.stable.stop() })
		wg.Go(func() { stopped[1] = s.canary.stop() })
	}
	if s.payments != nil {
		wg.Go(func() { stopped[2] = s.payments.stop() })
	}
	wg.Wait()
	errs = append(errs, stopped[:]...)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if s.emitter != nil {
		errs = append(errs, s.emitter.Close(ctx))
	}
	if s.server != nil {
		errs = append(errs, s.server.Shutdown(ctx))
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
