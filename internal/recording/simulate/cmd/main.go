package main

import (
	"flag"
	"os"
	"time"

	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

func main() {
	var o simulate.Options
	flag.Uint64Var(&o.Seed, "seed", 1, "")
	flag.Float64Var(&o.Rate, "rate", 100, "")
	flag.Float64Var(&o.Errors, "errors", 0.001, "")
	flag.IntVar(&o.Fault.Route, "route", 3, "")
	flag.Float64Var(&o.Fault.Errors, "fault-errors", 0, "")
	flag.Float64Var(&o.Fault.Latency, "fault-latency", 1, "")
	flag.Float64Var(&o.Fault.OrderLoss, "fault-orders", 0, "")
	flag.DurationVar(&o.Fault.After, "after", 0, "")
	long := flag.Bool("long", false, "")
	flag.Parse()
	if *long {
		o.Steps = []simulate.Step{{0.05, 20 * time.Minute, 1}, {0.25, 20 * time.Minute, 5}, {0.5, 30 * time.Minute, 10}}
	}
	if err := recording.Write(os.Stdout, simulate.Rollout(o)); err != nil {
		panic(err)
	}
}
