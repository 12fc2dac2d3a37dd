// Command agent measures fairlead agent on a real cluster: how long it takes to
// catch up with thousands of releases, what it weighs then, and whether it loses
// events. It makes API objects only, no pods. Run it where KUBECONFIG is set:
//
//	make build cluster && go build -o bin/bench-agent ./bench/agent &&
//	bin/cluster run --no-gateway -- bin/bench-agent
//
// With -collector the OpenTelemetry Collector's k8s_events receiver watches the
// same events beside it, and with -reconnect the API server of the test bed is
// restarted halfway.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The goals.
const (
	goalMemory = 200 << 20
	goalStart  = 30 * time.Second
	goalCPU    = 0.5 // of one core, at the rate of events asked for
)

type options struct {
	fairlead, collector string
	releases, revisions int
	writers             int
	events              int
	during              time.Duration
	seed, measure       bool
	reconnect           bool
}

func main() {
	var o options
	flag.StringVar(&o.fairlead, "fairlead", "bin/fairlead", "the binary to measure")
	flag.StringVar(&o.collector, "collector", "", "a Collector with the receiver k8s_events, to watch the same events (make collector)")
	flag.IntVar(&o.releases, "releases", 5000, "releases")
	flag.IntVar(&o.revisions, "revisions", 10, "revisions of each")
	flag.IntVar(&o.writers, "writers", 16, "parallel writers of objects")
	flag.IntVar(&o.events, "events", 200, "events a second; 0: none")
	flag.DurationVar(&o.during, "for", 30*time.Second, "how long events are made")
	flag.BoolVar(&o.seed, "seed", true, "make the releases; without it they are there already")
	flag.BoolVar(&o.measure, "measure", true, "measure; without it the releases are made and nothing more")
	flag.BoolVar(&o.reconnect, "reconnect", false, "restart the test bed's API server halfway through the events")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench agent: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.reconnect && os.Getenv("FAIRLEAD_TEST_CLUSTERCTL") == "" {
		return errors.New("-reconnect: only on the test bed's own cluster (bin/cluster run), whose API server it restarts")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("KUBECONFIG: %w", err)
	}
	config.QPS, config.Burst = 5000, 5000
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	w := writer{client: client, o: o}
	if o.seed {
		took, err := w.releases(ctx)
		if err != nil {
			return err
		}
		say("made %d releases x %d revisions in %s", o.releases, o.revisions, took.Round(time.Second))
	}
	if !o.measure {
		return nil
	}
	t := table{Writer: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if err := measure(ctx, w, t); err != nil {
		_ = t.Flush()
		return err
	}
	return t.Flush()
}

func measure(ctx context.Context, w writer, t table) error {
	sink := newSink()
	defer sink.Close()
	a, err := startAgent(w.o.fairlead, sink.URL)
	if err != nil {
		return err
	}
	defer a.stop()
	if err := catchUp(w.o, a, sink, t); err != nil {
		return err
	}
	if w.o.events > 0 {
		if err := events(ctx, w, a, sink, t); err != nil {
			return err
		}
	}
	if missing := a.lines("missing"); len(missing) > 0 {
		fmt.Fprintf(t, "the agent said\t%s\n", strings.Join(missing, "; "))
	}
	return nil
}

// catchUp measures from the start to every release told.
func catchUp(o options, a *process, s *sink, t table) error {
	listed, err := a.waitLine("caught up", 10*time.Minute)
	if err != nil {
		return err
	}
	say("the agent has listed the records after %s", listed.Round(100*time.Millisecond))
	told := s.waitOperations(o.releases, 5*time.Minute)
	all := time.Since(a.began)
	t.row("start to the records listed", listed.Round(100*time.Millisecond).String(), "-", true)
	t.row("start to every release told", fmt.Sprintf("%s (%d of %d)", all.Round(100*time.Millisecond), told, o.releases), goalStart.String(), all <= goalStart && told >= o.releases)
	t.row("CPU until then", a.cpu().Round(100*time.Millisecond).String(), "-", true)
	say("resting")
	time.Sleep(20 * time.Second)
	m := a.memory()
	t.row("memory, steady", m.String(), mib(goalMemory), m.rss <= goalMemory)
	t.row("memory, peak", mib(m.peak), "-", true)
	return nil
}

// events measures what is lost of events, and what they cost.
func events(ctx context.Context, w writer, a *process, s *sink, t table) error {
	watchers := []struct {
		name string
		*process
		*sink
	}{{"agent", a, s}}
	if w.o.collector != "" {
		other := newSink()
		defer other.Close()
		c, err := startCollector(w.o.collector, other.URL)
		if err != nil {
			return err
		}
		defer c.stop()
		if _, err := c.waitLine("Everything is ready", time.Minute); err != nil {
			return err
		}
		time.Sleep(5 * time.Second) // its watches begin
		watchers = append(watchers, struct {
			name string
			*process
			*sink
		}{"Collector", c, other})
	}
	before, start := make([]time.Duration, len(watchers)), time.Now()
	for i, x := range watchers {
		before[i] = x.cpu()
	}
	say("making %d events a second for %s", w.o.events, w.o.during)
	made, err := w.events(ctx)
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("events made in %s", time.Since(start).Round(time.Second)), fmt.Sprint(made), fmt.Sprint(int(float64(w.o.events)*w.o.during.Seconds())), true)
	for i, x := range watchers {
		got := x.waitEvents(made, 30*time.Second)
		share := float64(x.cpu()-before[i]) / float64(time.Since(start))
		goal := func(g string) string {
			if x.process != a {
				return "-" // a peer has none of ours
			}
			return g
		}
		t.row(x.name+": events lost", fmt.Sprint(made-got), goal("0"), got == made)
		t.row(x.name+": came more than once", fmt.Sprint(x.doubled()), "-", true)
		t.row(x.name+": CPU, of one core", fmt.Sprintf("%.3f", share), goal(fmt.Sprint(goalCPU)), share <= goalCPU)
		m := x.memory()
		t.row(x.name+": memory after that", m.String(), goal(mib(goalMemory)), m.rss <= goalMemory)
		t.row(x.name+": memory, peak", mib(m.peak), "-", true)
	}
	return nil
}

// table is what was measured, row by row.
type table struct{ *tabwriter.Writer }

func (t table) row(what, value, goal string, ok bool) {
	verdict := "reached"
	switch {
	case goal == "-":
		verdict = ""
	case !ok:
		verdict = "MISSED"
	}
	fmt.Fprintf(t, "%s\t%s\tgoal %s\t%s\n", what, value, goal, verdict)
	say("%s: %s", what, value)
}

// say tells how far the bench is, on stderr.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
