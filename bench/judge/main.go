// Command judge measures what judging many canaries once a minute costs, with the
// embedded store in the same process, as in fairlead server: each look reads the
// newest minute of a canary's series, folds it and gives a verdict.
//
//	GOMAXPROCS=1 go run ./bench/judge
//	go run ./bench/judge -canaries 100 -classic
//
// CPU seconds are this process' own, so that other work on the machine counts
// little. The goal: 1,000 canaries in 60 CPU seconds, at most 1 MB of memory each.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/store/metrics"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("judge", flag.ContinueOnError)
	l := load{}
	fs.IntVar(&l.canaries, "canaries", 1000, "canaries")
	fs.IntVar(&l.routes, "routes", 5, "routes of each service")
	fs.IntVar(&l.pods, "pods", 4, "pods of each service, one of them the canary's")
	fs.BoolVar(&l.classic, "classic", false, "classic histograms of 15 buckets in place of native ones")
	history := fs.Int("history", 10, "minutes of stable's past in the store")
	rounds := fs.Int("rounds", 5, "minutes that are judged")
	if err := fs.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fairlead-bench-judge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{load: l, out: out, begin: time.Now().Truncate(time.Minute).Add(-time.Duration(*history+*rounds) * time.Minute)}
	b.start = b.begin.Add(time.Duration(*history) * time.Minute)
	if b.store, err = metrics.Open(dir, metrics.Options{SyncInterval: time.Second, Now: func() time.Time { return b.start.Add(time.Hour) }}); err != nil {
		return err
	}
	defer b.store.Close()
	for at := b.begin; at.Before(b.start); at = at.Add(scrape) {
		if err := b.load.send(ctx, b.store, at, false); err != nil {
			return err
		}
	}
	if err := b.open(ctx); err != nil {
		return err
	}
	return b.judge(ctx, *rounds)
}

// bench is the store and the canaries judged from it.
type bench struct {
	load     load
	out      io.Writer
	store    *metrics.Store
	begin    time.Time // of the history
	start    time.Time // of the canaries
	sessions []*judge.Session
}

// open starts all rollouts: each reads its stable track's history once.
func (b *bench) open(ctx context.Context) error {
	cfg := analysis.Default()
	cfg.Business = nil
	cfg.History = analysis.Duration(b.start.Sub(b.begin))
	source := prom.NewSource(prom.NewLocal(b.store.Queryable()))
	memory, used := heap(), cpu()
	for i := range b.load.canaries {
		s, err := judge.Open(ctx, source, cfg, judge.Subject{Service: service(i), CanaryVersion: "2", StableVersion: "1"}, b.start)
		if err != nil {
			return err
		}
		if err := s.Judge().Begin(analysis.StepContext{Weight: 0.05, Start: b.start, Gate: analysis.Duration(10 * time.Minute), CanaryPods: 1}); err != nil {
			return err
		}
		b.sessions = append(b.sessions, s)
	}
	used = cpu() - used
	fmt.Fprintf(b.out, "%d canaries, %d routes, %d pods each; GOMAXPROCS %d\n", b.load.canaries, b.load.routes, b.load.pods, runtime.GOMAXPROCS(0))
	fmt.Fprintf(b.out, "start with %s of history: %.1f ms CPU a canary, %.0f KiB of memory a canary\n", b.start.Sub(b.begin),
		1000*used.Seconds()/float64(b.load.canaries), (heap()-memory)/1024/float64(b.load.canaries))
	return nil
}

// judge looks once a minute at every canary.
func (b *bench) judge(ctx context.Context, rounds int) error {
	var times []time.Duration
	decided := 0
	for m := range rounds {
		from := b.start.Add(time.Duration(m) * time.Minute)
		for at := from; at.Before(from.Add(time.Minute)); at = at.Add(scrape) {
			if err := b.load.send(ctx, b.store, at.Add(scrape), true); err != nil {
				return err
			}
		}
		runtime.GC()
		used := cpu()
		for _, s := range b.sessions {
			if err := s.Follow(ctx, from.Add(time.Minute)); err != nil {
				return err
			}
			v := s.Judge().Verdict()
			if len(v.Checks) == 0 || v.At != from.Add(time.Minute) {
				return fmt.Errorf("a verdict without checks, or of %s and not %s", v.At, from.Add(time.Minute))
			}
			if v.Decision != analysis.Continue {
				decided++
			}
		}
		times = append(times, cpu()-used)
	}
	if decided > 0 {
		return fmt.Errorf("%d verdicts within a gate on equal tracks were not to continue", decided)
	}
	slices.Sort(times)
	mid := times[len(times)/2]
	fmt.Fprintf(b.out, "a minute's looks at all: %.2f s CPU (%.2f to %.2f in %d minutes): %.2f ms a look; 1,000 canaries a minute need %.0f %% of a core\n",
		mid.Seconds(), times[0].Seconds(), times[len(times)-1].Seconds(), rounds, 1000*mid.Seconds()/float64(len(b.sessions)), 100*mid.Seconds()*1000/float64(len(b.sessions))/60)
	return nil
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap is the memory in use, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
