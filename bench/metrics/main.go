// Command metrics measures the server's metrics against Prometheus itself:
// the same OTLP load into both, one after the other, then the same queries.
//
//	go run ./bench/metrics -server bin/fairlead -prometheus PROGRAM -series 100000
//
// CPU seconds and memory are read from /proc, so that other work on the machine
// counts little; what is worth comparing is the ratio of the two.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	var (
		server     = flag.String("server", "bin/fairlead", "fairlead")
		prometheus = flag.String("prometheus", "", "Prometheus; empty measures fairlead alone")
		series     = flag.Int("series", 10_000, "series of the load")
		rounds     = flag.Int("rounds", 20, "points of each series, 15 s apart")
		queries    = flag.Int("queries", 15, "how often each query is asked")
		idle       = flag.Bool("idle", false, "measure start and memory of an idle fairlead instead")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *server, *prometheus, *series, *rounds, *queries, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server, prometheus string, series, rounds, queries int, idle bool) error {
	if idle {
		return measureIdle(ctx, server)
	}
	subjects := []func(context.Context, string) (*subject, error){
		func(ctx context.Context, dir string) (*subject, error) { return startFairlead(ctx, server, dir) },
	}
	if prometheus != "" {
		subjects = append(subjects, func(ctx context.Context, dir string) (*subject, error) {
			return startPrometheus(ctx, prometheus, dir)
		})
	}
	end := time.Now()
	var results []*result
	for _, start := range subjects {
		dir, err := os.MkdirTemp("", "fairlead-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s, err := start(ctx, filepath.Join(dir, "data"))
		if err != nil {
			return err
		}
		defer func() { _ = s.stop() }() // its data is thrown away
		r, err := measure(ctx, s, end, series, rounds)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	// Turn about, so that a busy moment of the machine hits both.
	for range queries {
		for _, r := range results {
			if err := r.ask(ctx, end); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	report(os.Stdout, series, rounds, results)
	return nil
}

type result struct {
	name, api     string
	samples       int
	cpu           float64 // seconds of the load
	rss, peak     float64 // MiB after the load, and at most
	latency       []*latency
	samplesPerCPU float64
}

func measure(ctx context.Context, s *subject, end time.Time, series, rounds int) (*result, error) {
	before, err := usage(s.pid())
	if err != nil {
		return nil, err
	}
	samples, err := load(ctx, s.otlp, end, series, rounds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	after, err := usage(s.pid())
	if err != nil {
		return nil, err
	}
	r := &result{name: s.name, api: s.api, samples: samples, cpu: after.cpu - before.cpu, rss: after.rss, peak: after.peak}
	r.samplesPerCPU = float64(samples) / r.cpu
	r.latency = newLatencies()
	return r, nil
}

func report(out *os.File, series, rounds int, all []*result) {
	fmt.Fprintf(out, "%d series, %d points each, one run\n\n| | samples per CPU-s | memory MiB (peak) |", series, rounds)
	for _, l := range all[0].latency {
		fmt.Fprintf(out, " %s |", l.name)
	}
	fmt.Fprint(out, "\n|---|--:|--:|")
	for range all[0].latency {
		fmt.Fprint(out, "--:|")
	}
	fmt.Fprintln(out)
	for _, r := range all {
		fmt.Fprintf(out, "| %s | %.0f | %.0f (%.0f) |", r.name, r.samplesPerCPU, r.rss, r.peak)
		for _, l := range r.latency {
			fmt.Fprintf(out, " %.1f ms |", l.median())
		}
		fmt.Fprintln(out)
	}
	if len(all) < 2 {
		return
	}
	a, b := all[0], all[1]
	fmt.Fprintf(out, "| ratio | %.2f | %.2f (%.2f) |", a.samplesPerCPU/b.samplesPerCPU, a.rss/b.rss, a.peak/b.peak)
	for i := range a.latency {
		fmt.Fprintf(out, " %.2f |", a.latency[i].median()/b.latency[i].median())
	}
	fmt.Fprintln(out)
	for i := range a.latency {
		if a.latency[i].value != b.latency[i].value {
			fmt.Fprintf(out, "\n%s: the answers differ: %s and %s\n", a.latency[i].name, a.latency[i].value, b.latency[i].value)
		}
	}
}
