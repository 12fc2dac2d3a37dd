// Rollback measures how long a canary that is taken back keeps its traffic: from
// the decision to weight 0 on the route, and to the last request that the canary
// answered, over many rollbacks with real pods behind a real gateway.
//
// It needs the test bed with its gateway, and installs the CRD of fairlead:
//
//	go build -o bin/bench-rollback ./bench/rollback
//	bin/cluster run -- bin/bench-rollback -fairlead bin/fairlead
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"time"
)

func main() {
	fairlead := flag.String("fairlead", "bin/fairlead", "binary to measure")
	shops := flag.Int("shops", 8, "canaries that are taken back at the same time")
	rounds := flag.Int("rounds", 13, "rollbacks of each")
	rate := flag.Float64("rate", 50, "requests a second to each shop while it is taken back")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *fairlead, *shops, *rounds, *rate); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, fairlead string, shops, rounds int, rate float64) error {
	kubectl := os.Getenv("FAIRLEAD_TEST_KUBECTL")
	install := fmt.Sprintf("%s export crds | %s apply --server-side -f - && %s wait --for=condition=Established crd/canaryreleases.fairlead.dev --timeout=30s", fairlead, kubectl, kubectl)
	if out, err := exec.CommandContext(ctx, "sh", "-c", install).CombinedOutput(); err != nil {
		return fmt.Errorf("install the CRD: %w: %s", err, out)
	}
	w, err := newWorld(ctx, rate)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, fairlead, "controller", "--leader-elect=false", "--namespace", namespace, "--metrics", "0", "--health", "0", "--drain", "5s", "--log-level", "error")
	cmd.Env, cmd.Stderr = append(os.Environ(), "OTEL_SDK_DISABLED=true"), os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var mu sync.Mutex
	var all []sample
	var wg sync.WaitGroup
	errs := make(chan error, shops)
	for i := range shops {
		wg.Go(func() {
			s := shop{world: w, name: fmt.Sprintf("shop-%d", i)}
			if err := s.deploy(ctx); err != nil {
				errs <- err
				return
			}
			for round := range rounds {
				found, err := s.rollBack(ctx, round+2)
				if err != nil {
					errs <- fmt.Errorf("%s, rollback %d: %w", s.name, round+1, err)
					return
				}
				mu.Lock()
				all = append(all, found)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	report(all)
	return nil
}

func report(all []sample) {
	fmt.Printf("%d rollbacks\n", len(all))
	for _, row := range []struct {
		what string
		of   func(sample) time.Duration
	}{
		{"asked for to decided", func(s sample) time.Duration { return s.decided.Sub(s.asked) }},
		{"decided to weight 0 on the route", func(s sample) time.Duration { return s.weightless.Sub(s.decided) }},
		{"decided to the last request that the canary answered", func(s sample) time.Duration { return s.last.Sub(s.decided) }},
	} {
		var took []time.Duration
		for _, s := range all {
			took = append(took, row.of(s))
		}
		slices.Sort(took)
		at := func(q float64) time.Duration {
			return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Millisecond)
		}
		fmt.Printf("%-53s p50 %6s  p90 %6s  p99 %6s  max %6s\n", row.what, at(0.5), at(0.9), at(0.99), took[len(took)-1].Round(time.Millisecond))
	}
}
