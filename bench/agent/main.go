// Command agent measures fairlead agent on a real cluster: how long it takes to
// catch up with thousands of releases, what it weighs then, and whether it loses
// events. It makes API objects only, no pods. Run it where KUBECONFIG is set:
//
//	make build cluster && go build -o bin/bench-agent ./bench/agent &&
//	bin/cluster run -- bin/bench-agent
package main

import (
	"context"
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
	fairlead            string
	releases, revisions int
	writers             int
	events              int
	during              time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.fairlead, "fairlead", "bin/fairlead", "the binary to measure")
	flag.IntVar(&o.releases, "releases", 5000, "releases")
	flag.IntVar(&o.revisions, "revisions", 10, "revisions of each")
	flag.IntVar(&o.writers, "writers", 16, "parallel writers of objects")
	flag.IntVar(&o.events, "events", 200, "events a second; 0: none")
	flag.DurationVar(&o.during, "for", 30*time.Second, "how long events are made")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench agent: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
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
	took, err := w.releases(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "made %d releases x %d revisions in %s\n", o.releases, o.revisions, took.Round(time.Second))

	sink := newSink()
	defer sink.Close()
	a, err := startAgent(o.fairlead, sink.URL)
	if err != nil {
		return err
	}
	defer a.stop()
	caught, err := a.caughtUp(10 * time.Minute)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, value, goal string, ok bool) {
		verdict := "reached"
		if !ok {
			verdict = "MISSED"
		}
		fmt.Fprintf(table, "%s\t%s\tgoal %s\t%s\n", what, value, goal, verdict)
	}
	// Caught up is when every release has been told, not only listed.
	told := sink.waitOperations(o.releases, 5*time.Minute)
	all := time.Since(a.began)
	row("start to the records listed", caught.Round(100*time.Millisecond).String(), "-", true)
	row("start to every release told", fmt.Sprintf("%s (%d of %d)", all.Round(100*time.Millisecond), told, o.releases), goalStart.String(), all <= goalStart && told >= o.releases)
	row("CPU until then", a.cpu().Round(100*time.Millisecond).String(), "-", true)
	time.Sleep(20 * time.Second)
	rss, peak := a.memory()
	row("memory, steady", mib(rss), mib(goalMemory), rss <= goalMemory)
	row("memory, peak", mib(peak), "-", true)
	if o.events > 0 {
		before, start := a.cpu(), time.Now()
		made, err := w.events(ctx)
		if err != nil {
			return err
		}
		got := sink.waitEvents(made, 30*time.Second)
		share := float64(a.cpu()-before) / float64(time.Since(start))
		row(fmt.Sprintf("events, %d/s for %s: lost", o.events, o.during), fmt.Sprintf("%d of %d", made-got, made), "0", got == made)
		row("CPU during that, of one core", fmt.Sprintf("%.2f", share), fmt.Sprint(goalCPU), share <= goalCPU)
		rss, _ = a.memory()
		row("memory after that", mib(rss), mib(goalMemory), rss <= goalMemory)
	}
	if missing := a.lines("missing"); len(missing) > 0 {
		fmt.Fprintf(table, "the agent said\t%s\n", strings.Join(missing, "; "))
	}
	return table.Flush()
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
