// Command metrics measures the server's metrics against Prometheus itself: the
// same OTLP requests into both, turn about, then the same queries, turn about.
//
//	go run ./bench/metrics -server bin/fairlead -prometheus PROGRAM -series 100000
//
// Each repetition begins with empty stores. CPU seconds and memory are read from
// /proc. What is worth comparing is the ratio of the two within a repetition; its
// median, least and largest over the repetitions are the result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

// leastRounds fill the window of the queries.
const leastRounds = 25

type options struct {
	server, prometheus              string
	series, rounds, queries, repeat int
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/fairlead", "fairlead")
	flag.StringVar(&o.prometheus, "prometheus", "", "Prometheus; empty measures fairlead alone")
	flag.IntVar(&o.series, "series", 10_000, "series of the load")
	flag.IntVar(&o.rounds, "rounds", 0, "points of each series, 15 s apart; 0 is as many as make a million samples, at least 25")
	flag.IntVar(&o.queries, "queries", 60, "how often each query is asked in a repetition")
	flag.IntVar(&o.repeat, "repeat", 5, "repetitions")
	idle := flag.Bool("idle", false, "measure start and memory of an idle fairlead instead")
	flag.Parse()
	if o.rounds == 0 && o.series > 0 {
		o.rounds = max(leastRounds, 1_000_000/o.series)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *idle {
		err = measureIdle(ctx, o.server)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.series < 1 || o.rounds < 1 || o.queries < 1 || o.repeat < 1 {
		return fmt.Errorf("-series %d, -rounds %d, -queries %d, -repeat %d: want at least 1", o.series, o.rounds, o.queries, o.repeat)
	}
	var all []repetition
	for range o.repeat {
		r, err := repeat(ctx, o)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	report(os.Stdout, o, all)
	return nil
}

// repetition holds the figures of each subject, fairlead first.
type repetition [][]float64

// columns name the figures of a subject in a repetition.
func columns() []string {
	names := []string{"samples per CPU-s", "memory MiB", "peak MiB"}
	for _, q := range questions() {
		names = append(names, q.name+" ms")
	}
	return names
}

func repeat(ctx context.Context, o options) (r repetition, err error) {
	dir, err := os.MkdirTemp("", "fairlead-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ours, err := startFairlead(ctx, o.server, filepath.Join(dir, "fairlead"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = ours.stop() }() // its data is thrown away
	subjects := []*subject{ours}
	if o.prometheus != "" {
		peer, err := startPrometheus(ctx, o.prometheus, filepath.Join(dir, "prometheus"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = peer.stop() }() // its data is thrown away
		subjects = append(subjects, peer)
	}
	end := time.Now()
	before, err := usages(subjects)
	if err != nil {
		return nil, err
	}
	samples, err := load(ctx, subjects, end, o.series, o.rounds)
	if err != nil {
		return nil, err
	}
	after, err := usages(subjects)
	if err != nil {
		return nil, err
	}
	latencies, err := ask(ctx, subjects, end, o.queries)
	if err != nil {
		return nil, err
	}
	for i := range subjects {
		figures := []float64{float64(samples) / (after[i].cpu - before[i].cpu), after[i].rss, after[i].peak}
		r = append(r, append(figures, latencies[i]...))
	}
	return r, nil
}

func report(out io.Writer, o options, all []repetition) {
	fmt.Fprintf(out, "%d series, %d points each, %d repetitions: median (least to largest)\n\n|", o.series, o.rounds, len(all))
	subjects := []string{"fairlead", "Prometheus"}[:len(all[0])]
	for _, name := range subjects {
		fmt.Fprintf(out, " | %s", name)
	}
	if len(subjects) > 1 {
		fmt.Fprint(out, " | ratio")
	}
	fmt.Fprint(out, " |\n|---")
	for range len(subjects) + len(subjects)/2 {
		fmt.Fprint(out, "|--:")
	}
	fmt.Fprintln(out, "|")
	for c, name := range columns() {
		var ratios []float64
		digits := 1
		if all[0][0][c] >= 1000 {
			digits = 0
		}
		fmt.Fprintf(out, "| %s", name)
		for i := range subjects {
			var values []float64
			for _, r := range all {
				values = append(values, r[i][c])
			}
			fmt.Fprintf(out, " | %s", spread(values, digits))
		}
		if len(subjects) > 1 {
			for _, r := range all {
				ratios = append(ratios, r[0][c]/r[1][c])
			}
			fmt.Fprintf(out, " | %s", spread(ratios, 2))
		}
		fmt.Fprintln(out, " |")
	}
}

func spread(values []float64, digits int) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, median(values), digits, slices.Min(values), digits, slices.Max(values))
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
