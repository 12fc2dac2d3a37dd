// Command explain measures what `fairlead canary failures` and `canary explain`
// are worth: how often a planted cause is named first, how often something is
// named where nothing is planted, and how long both take.
//
//	go run ./bench/explain
//	go run ./bench/explain -runs 300 -seed 7 -spans 0
//
// The same seed gives the same table of causes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/explain/explaintest"
)

type options struct {
	runs, failing int
	seed          uint64
	spans         int
	dir           string
	queries       int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "explain:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	fs.IntVar(&o.runs, "runs", 100, "runs of each cause")
	fs.IntVar(&o.failing, "failing", 30, "failing traces of the canary in a run")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of the draws")
	fs.IntVar(&o.spans, "spans", 1_000_000, "spans in the store that is asked; 0 for none")
	fs.StringVar(&o.dir, "dir", "", "where to keep the store (default: a temporary directory, deleted)")
	fs.IntVar(&o.queries, "queries", 50, "queries of each kind")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.runs < 1 || o.failing < 1 || o.queries < 1 || o.spans < 0 {
		return fmt.Errorf("-runs %d, -failing %d, -queries %d, -spans %d: want at least 1 (spans: 0)", o.runs, o.failing, o.queries, o.spans)
	}
	causes(out, o)
	timeExplain(out, o)
	if o.spans == 0 {
		return nil
	}
	return timeStore(ctx, out, o)
}

// causes counts how often each planted cause is named first.
func causes(out io.Writer, o options) {
	sizes := explaintest.Sizes{Failing: o.failing, Healthy: 400, StableFailing: 30, StableHealthy: 400}
	fmt.Fprintf(out, "%d runs each, %d failing traces, seed %d\n\n| planted | named first | something named |\n|---|--:|--:|\n", o.runs, o.failing, o.seed)
	for _, cause := range append([]explaintest.Cause{explaintest.CauseNone}, explaintest.Causes...) {
		first, some := 0, 0
		for i := range o.runs {
			in, culprit := explaintest.Make(rand.New(rand.NewPCG(o.seed, uint64(i))), cause, sizes)
			r := explain.Explain(in)
			if len(r.Findings) > 0 {
				some++
			}
			if cause != explaintest.CauseNone && explaintest.Named(r, culprit) {
				first++
			}
		}
		named := fmt.Sprintf("%.1f %%", 100*float64(first)/float64(o.runs))
		if cause == explaintest.CauseNone {
			named = "-"
		}
		fmt.Fprintf(out, "| %s | %s | %.1f %% |\n", cause, named, 100*float64(some)/float64(o.runs))
	}
}

// timeExplain measures the comparison alone, of 10,000 traces in memory.
func timeExplain(out io.Writer, o options) {
	sizes := explaintest.Sizes{Failing: 1000, Healthy: 4000, StableFailing: 1000, StableHealthy: 4000}
	in, _ := explaintest.Make(rand.New(rand.NewPCG(o.seed, 0)), explaintest.CauseRoute, sizes)
	var took times
	for range 10 {
		took.measure(func() error { explain.Explain(in); return nil })
	}
	fmt.Fprintf(out, "\nexplain over 10,000 traces of 3 spans in memory: %s\n", took)
}
