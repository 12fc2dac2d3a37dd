package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const metricsAddress = "127.0.0.1:18080"

// result is what one measurement found.
type result struct {
	n          int
	ready      time.Duration // from the start until all have been reconciled
	reconciles float64
	p99        float64 // seconds; the bucket's bound
	cpu        float64 // seconds for the rounds
	memory     float64 // resident bytes
	requests   float64
	wall       time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("%d CanaryReleases: all seen after %s; %.0f reconciliations in %s: p99 <= %s, %.2f CPU-seconds (%.2f ms each), %.0f API requests (%.2f each); %.0f MB resident\n",
		r.n, r.ready.Round(100*time.Millisecond), r.reconciles, r.wall.Round(100*time.Millisecond), time.Duration(r.p99*float64(time.Second)), r.cpu, 1000*r.cpu/r.reconciles,
		r.requests, r.requests/r.reconciles, r.memory/1e6)
}

// measure starts a controller over n CanaryReleases and has each reconciled.
func (w *world) measure(ctx context.Context, fairlead string, n, rounds int) (result, error) {
	r := result{n: n}
	cmd := exec.CommandContext(ctx, fairlead, "controller", "--leader-elect=false", "--metrics", metricsAddress, "--health", "0", "--log-level", "error")
	cmd.Env = append(os.Environ(), "OTEL_SDK_DISABLED=true", "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := settled(ctx, float64(n)); err != nil {
		return r, err
	}
	r.ready = time.Since(began)
	before, err := scrape(ctx)
	if err != nil {
		return r, err
	}
	began = time.Now()
	for round := range rounds {
		if err := w.touch(ctx, round+int(began.Unix())); err != nil {
			return r, err
		}
	}
	if err := settled(ctx, count(before)+float64(n*rounds)*0.9); err != nil { // touches in a row may be one
		return r, err
	}
	r.wall = time.Since(began)
	after, err := scrape(ctx)
	if err != nil {
		return r, err
	}
	r.reconciles = count(after) - count(before)
	r.cpu = sum(after, "process_cpu_seconds_total") - sum(before, "process_cpu_seconds_total")
	r.requests = sum(after, "rest_client_requests_total") - sum(before, "rest_client_requests_total")
	r.memory = sum(after, "process_resident_memory_bytes")
	r.p99 = quantile(before, after, 0.99)
	return r, nil
}

// settled waits until there were so many reconciliations and no more come.
func settled(ctx context.Context, atLeast float64) error {
	last := -1.0
	for range 600 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		families, err := scrape(ctx)
		if err != nil {
			continue // still starting
		}
		have := count(families)
		if have >= atLeast && have == last {
			return nil
		}
		last = have
	}
	return fmt.Errorf("after five minutes %.0f reconciliations, want %.0f and rest", last, atLeast)
}

const reconcileTime = "controller_runtime_reconcile_time_seconds"

func scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	return scrapeFrom(ctx, "http://"+metricsAddress+"/metrics")
}

func parse(text io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(text)
}

func sum(families map[string]*dto.MetricFamily, name string) float64 {
	total := 0.0
	for _, m := range families[name].GetMetric() {
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return total
}

func count(families map[string]*dto.MetricFamily) float64 {
	total := 0.0
	for _, m := range families[reconcileTime].GetMetric() {
		total += float64(m.GetHistogram().GetSampleCount())
	}
	return total
}

// quantile is the bound of the bucket that holds the quantile of what came
// between two scrapes.
func quantile(before, after map[string]*dto.MetricFamily, q float64) float64 {
	past := map[string]uint64{}
	for _, m := range before[reconcileTime].GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			past[strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)] = b.GetCumulativeCount()
		}
	}
	want := q * (count(after) - count(before))
	for _, m := range after[reconcileTime].GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			if float64(b.GetCumulativeCount()-past[strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)]) >= want {
				return b.GetUpperBound()
			}
		}
	}
	return 0
}
