// Command pages measures the pages of a server that holds 10,000 operations of
// 500 releases: the server's time for each page (over HTTP on this machine), the
// processor time of a request, the bench's own part of it included, which other
// load on the machine falsifies less, and the page's weight compressed.
//
//	go run ./bench/pages
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/server"
	"fairlead.dev/fairlead/internal/web/webtest"
)

func main() {
	operations := flag.Int("operations", 10_000, "Helm operations")
	releases := flag.Int("releases", 500, "releases")
	spans := flag.Int("spans", 100_000, "spans beside those of the pages' own traces")
	rounds := flag.Int("rounds", 60, "requests of each page")
	profile := flag.String("cpuprofile", "", "write a profile of the requests to this file")
	flag.Parse()
	if err := run(context.Background(), *operations, *releases, *spans, *rounds, *profile); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, operations, releases, spans, rounds int, profile string) error {
	dir, err := os.MkdirTemp("", "fairlead-pages")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := config.Default()
	cfg.Store.Dir = dir
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", config.Off, "127.0.0.1:0"
	s, err := server.Open(ctx, cfg, server.Options{Version: "bench"})
	if err != nil {
		return err
	}
	defer func() { _ = s.Shutdown(ctx) }()
	if err := s.Start(ctx); err != nil {
		return err
	}
	_, otlp := s.OTLPAddrs()
	base := "http://" + s.HTTPAddr()
	paths, err := fill(ctx, webtest.Sender{OTLP: "http://" + otlp}, base, operations, releases, spans)
	if err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Printf("%d operations, %d releases, %d spans and more; %d requests a page\n\n", operations, releases, spans, rounds)
	fmt.Printf("%-34s %10s %10s %10s %12s\n", "page", "p50", "p95", "CPU", "compressed")
	for _, path := range paths {
		if err := measure(ctx, base, path, rounds); err != nil {
			return err
		}
	}
	return nil
}

// fill sends the data and returns the pages to ask for.
func fill(ctx context.Context, sender webtest.Sender, base string, operations, releases, spans int) ([]string, error) {
	now := time.Now()
	if err := sender.Deploys(ctx, now, 1, releases, operations); err != nil {
		return nil, err
	}
	for i := range spans / 2000 {
		if err := sender.Trace(ctx, [16]byte{7, byte(i >> 8), byte(i)}, now.Add(-time.Duration(i)*time.Minute), 2000); err != nil {
			return nil, err
		}
	}
	failing, err := sender.FailingUpgrade(ctx, now.Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	traffic := webtest.Traffic{Service: "checkout", Canary: "2.4.1", Stable: "2.4.0", Start: now.Add(-8 * time.Minute), End: now, History: 22 * time.Minute,
		Rate: 60, Weight: 0.25, ErrorsStable: 0.002, ErrorsCanary: 0.1, Seed: 5}
	if err := traffic.Send(ctx, sender); err != nil {
		return nil, err
	}
	decision, reason, verdict, err := traffic.Judge(ctx, base, "")
	if err != nil {
		return nil, err
	}
	record := traffic.Record("bench-1", now, rollout.PhaseProgressing, 1, decision, reason, verdict)
	if err := sender.Rollouts(ctx, record); err != nil {
		return nil, err
	}
	return []string{"/", "/releases", "/releases?range=30d", "/releases/shop/checkout?cluster=prod-eu", "/deployments/" + failing.ID, "/deployments/large-0001/deploy",
		"/canaries", "/canaries/bench-1", "/alerts", "/health", "/static/app.css", "/static/app.js", "/static/inter.woff2"}, nil
}

func measure(ctx context.Context, base, path string, rounds int) error {
	took := make([]time.Duration, 0, rounds)
	size := 0
	before := cpu()
	for range rounds {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept-Encoding", "gzip") // set by hand, the answer stays compressed
		began := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
		size = len(body)
	}
	spent := (cpu() - before) / time.Duration(rounds)
	slices.Sort(took)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	fmt.Printf("%-34.34s %10s %10s %10s %9.1f KiB\n", path, round(took[len(took)/2]), round(took[len(took)*95/100]), round(spent), float64(size)/1024)
	return nil
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
