// Command crash kills a fairlead server with SIGKILL again and again while it
// takes OTLP, and counts what was acknowledged against what is found.
//
//	go run ./bench/crash -server bin/fairlead -kills 20
//
// Every request carries one metric point, one span and one log record with a
// number of their own. A request counts as acknowledged when the server has
// answered it with success. After the last kill the server is started once
// more, and each acknowledged number is looked up: points by PromQL, spans
// by trace id, and log records in the store after a last kill. It exits with 1 when one is missing.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"fairlead.dev/fairlead/bench/crash/loop"
)

func main() {
	var o loop.Options
	flag.StringVar(&o.Server, "server", "bin/fairlead", "the program to kill")
	flag.StringVar(&o.Dir, "data", "", "data directory (default: a new one, removed at the end)")
	flag.IntVar(&o.Kills, "kills", 20, "how many times to kill")
	flag.DurationVar(&o.Between, "between", 2*time.Second, "longest time between ready and kill; each is random below it")
	flag.IntVar(&o.Senders, "senders", 4, "how many send at once")
	flag.Int64Var(&o.Seed, "seed", 1, "of the random times")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.Progress = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	r, err := loop.Run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r) // stdout is the caller's
	if r.Lost() {
		os.Exit(1)
	}
}
