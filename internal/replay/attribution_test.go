package replay_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

// An early rollback names the route that carries the harm: a fifth of one route
// of twenty fails, on one pod and with two minutes of history, as in the live
// test of the example. The decision is often made on all routes together, at a
// look with a dozen errors; the route must be named all the same.
func TestAnEarlyRollbackNamesTheRoute(t *testing.T) {
	const seeds = 8
	config := analysis.Default()
	config.ScrapeInterval, config.Window, config.History = analysis.Duration(2*time.Second), analysis.Duration(time.Minute), analysis.Duration(2*time.Minute)
	named := 0
	for seed := range uint64(seeds) {
		v := judged(t, config, simulate.Options{
			Seed: seed + 1, Start: start, History: 2 * time.Minute, Scrape: 2 * time.Second, Rate: 100, Routes: 20, Pods: 1, Errors: 1e-9,
			Steps: []simulate.Step{{Weight: 0.05, Length: 5 * time.Minute, Pods: 1}}, Fault: simulate.Fault{Route: 1, Errors: 0.2},
		})
		if v.Decision != analysis.Rollback {
			t.Errorf("seed %d: %s, want rollback", seed, v.Decision)
			continue
		}
		if slices.Contains(v.Attributed, "error_rate "+faulty) {
			named++
		} else {
			t.Logf("seed %d: traced to %v: %s", seed, v.Attributed, v.Message)
		}
		for _, name := range v.Attributed {
			if name != "error_rate" && name != "error_rate "+faulty {
				t.Errorf("seed %d: traced to %v, want the one route at most beside all together", seed, v.Attributed)
			}
		}
		if len(v.Excess) == 0 || v.Excess[0].Route != faulty || v.Excess[0].Excess < 0.9*v.Excess[0].Of {
			t.Errorf("seed %d: excess %+v, want nearly all of it on %s", seed, v.Excess, faulty)
		}
		if v.Attributed[0] == "error_rate" && !strings.Contains(v.Message, "Most of the excess errors are on "+faulty) {
			t.Errorf("seed %d: the message does not say where: %s", seed, v.Message)
		}
	}
	t.Logf("named in %d of %d", named, seeds)
	if named < seeds {
		t.Errorf("named in %d of %d rollbacks, want all", named, seeds)
	}
}

// faulty is the route with index 1 of package simulate.
const faulty = "/route/01"

// judged is the verdict at the first decision of a rollout with one step.
func judged(t *testing.T, config analysis.Config, o simulate.Options) analysis.Verdict {
	t.Helper()
	var text bytes.Buffer
	if err := recording.Write(&text, simulate.Rollout(o)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "r.om")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := judge.Open(context.Background(), prom.NewSource(r), config, judge.Subject{Service: "shop", CanaryVersion: "2.0.0", StableVersion: "1.0.0"}, o.Start)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Judge().Begin(analysis.StepContext{Weight: o.Steps[0].Weight, Start: o.Start, Gate: analysis.Duration(o.Steps[0].Length)}); err != nil {
		t.Fatal(err)
	}
	_, to := r.Range()
	for iv, err := range s.Intervals(context.Background(), to) {
		if err == nil {
			err = s.Judge().Add(iv)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d, _, _ := s.Judge().Outcome(); d == analysis.Rollback {
			break
		}
	}
	return s.Judge().Verdict()
}
