package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/server"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// start starts a server of its own.
func start(t testing.TB, change func(*config.Server)) (base string, sender webtest.Sender) {
	t.Helper()
	return startIn(t, nil, change)
}

// startIn starts a server that may act in a cluster.
func startIn(t testing.TB, cluster client.Client, change func(*config.Server)) (base string, sender webtest.Sender) {
	t.Helper()
	cfg := config.Default()
	cfg.Store.Dir = t.TempDir()
	cfg.Store.MinFree = 1 << 20
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", config.Off, "127.0.0.1:0"
	if change != nil {
		change(cfg)
	}
	s, err := server.Open(t.Context(), cfg, server.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Version: "test", Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // streams of browsers are cut off
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, otlp := s.OTLPAddrs()
	return "http://" + s.HTTPAddr(), webtest.Sender{OTLP: "http://" + otlp}
}

// world is what seed has sent.
type world struct {
	now            time.Time
	failing        webtest.FailingUpgrade
	bad, good, run rollout.Record
}

// seed sends releases, a failing upgrade, and three canaries: one that was
// rolled back, one that was promoted, one that waits for a person.
func seed(t testing.TB, base string, s webtest.Sender) world {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := world{now: now}
	must(s.Deploys(ctx, now, 3, 24, 600))
	var err error
	w.failing, err = s.FailingUpgrade(ctx, now.Add(-90*time.Second))
	must(err)
	revision := 4
	must(s.Operations(ctx, release.Operation{ID: release.DeployID("running"), Command: "upgrade", Kind: release.KindUpgrade, State: release.StateRunning,
		Cluster: "prod-eu", Namespace: "shop", Release: "catalog", PreviousRevision: &revision, Revision: 5, Start: now.Add(-40 * time.Second), Observers: []release.Observer{release.ObserverWrapper}}))

	broken := webtest.Traffic{Service: "checkout", Canary: "2.4.1", Stable: "2.4.0", Start: now.Add(-7 * time.Minute), End: now.Add(-5 * time.Second), History: 22 * time.Minute,
		Rate: 90, Weight: 0.25, ErrorsStable: 0.002, ErrorsCanary: 0.16, Seed: 5}
	w.bad = rolled(t, base, s, broken, "5b1f-checkout-1", rollout.PhaseRolledBack, 1)
	fine := webtest.Traffic{Service: "search", Canary: "8.1.0", Stable: "8.0.7", Start: now.Add(-14 * time.Minute), End: now.Add(-5 * time.Second), History: 25 * time.Minute,
		Rate: 60, Weight: 0.50, ErrorsStable: 0.001, ErrorsCanary: 0.001, Seed: 6}
	w.run = rolled(t, base, s, fine, "77aa-search-3", rollout.PhaseProgressing, 2)
	w.good = rolled(t, base, s, fine, "77aa-search-2", rollout.PhaseSucceeded, 3)
	return w
}

// rolled sends the traffic, has it judged, and sends the records of the rollout.
func rolled(t testing.TB, base string, s webtest.Sender, traffic webtest.Traffic, id string, end rollout.Phase, step int) rollout.Record {
	t.Helper()
	ctx := t.Context()
	if end != rollout.PhaseSucceeded { // its traffic is there already
		if err := traffic.Send(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	decision, reason, verdict, err := traffic.Judge(ctx, base, "")
	if err != nil {
		t.Fatal(err)
	}
	var records []rollout.Record
	for i := range step + 1 {
		for look := range 4 {
			at := traffic.Start.Add(traffic.End.Sub(traffic.Start) * time.Duration(4*i+look) / time.Duration(4*step+5))
			said, why := rollout.DecisionContinue, "insufficient_data"
			if look == 3 {
				said, why = rollout.DecisionPromote, "passed"
			}
			records = append(records, traffic.Record(id, at, rollout.PhaseProgressing, i, said, why, nil))
		}
	}
	last := traffic.Record(id, traffic.End, end, step, decision, reason, verdict)
	if end == rollout.PhaseProgressing {
		last.Reason, last.At = rollout.ReasonApproval, time.Now()
		last.Message = "Step 3 of 4 has passed its gate and waits for a person."
	}
	records = append(records, last)
	if err := s.Rollouts(ctx, records...); err != nil {
		t.Fatal(err)
	}
	return last
}

// get returns a page.
func get(t testing.TB, url string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// words is the text of a page, without tags and with single spaces.
func words(page string) string {
	var b strings.Builder
	in := false
	for _, r := range page {
		switch {
		case r == '<':
			in = true
			b.WriteByte(' ')
		case r == '>':
			in = false
		case !in:
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
