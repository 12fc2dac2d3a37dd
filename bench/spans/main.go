// Command spans measures the trace store: what ingest over OTLP costs, what a
// span takes on disk, and how long queries take while more arrives.
//
//	go run ./bench/spans -spans 1000000 -load pods
//
// The server under test is a process of its own, and only its CPU time counts.
// With -jaeger the same load and questions go to a Jaeger after it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

type options struct {
	spans   int
	load    string
	queries int
	rate    int
	dir     string
	jaeger  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		err = serve(ctx, os.Args[2], os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "spans:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("spans", flag.ContinueOnError)
	fs.IntVar(&o.spans, "spans", 1_000_000, "spans to store before the queries")
	fs.StringVar(&o.load, "load", "pods", "who sends: pods (512 spans of one pod a request), collector512 or collector8192 (all pods in a request)")
	fs.IntVar(&o.queries, "queries", 200, "queries of each kind")
	fs.IntVar(&o.rate, "rate", 5000, "spans a second that arrive during the queries")
	fs.StringVar(&o.jaeger, "jaeger", "", "a Jaeger v2 binary to measure beside it, with Badger on disk")
	fs.StringVar(&o.dir, "dir", "", "where to keep the data (default: a temporary directory, deleted)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if _, ok := loads[o.load]; !ok {
		return fmt.Errorf("-load %q: must be pods, collector512 or collector8192", o.load)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "spans")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	ours, err := measure(ctx, o, startStore)
	if err != nil {
		return err
	}
	results := []result{ours}
	if o.jaeger != "" {
		peer, err := measure(ctx, o, startJaeger(o.jaeger))
		if err != nil {
			return err
		}
		results = append(results, peer)
	}
	print(out, o, results)
	return nil
}
