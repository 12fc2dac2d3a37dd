//go:build integration

package prom_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/prom/promtest"
)

// start is in the past, so that a server that starts now serves it as history.
var start = time.Now().Add(-time.Hour).Truncate(15 * time.Second)

// fill writes ten minutes of two pods: classic buckets, native and custom-bounds
// histograms, a staleness marker, a reset, a NaN.
func fill(t *testing.T, dir string) {
	t.Helper()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(context.Background())
	add := func(at time.Time, v float64, pairs ...string) {
		if _, err := app.Append(0, labels.FromStrings(pairs...), at.UnixMilli(), v); err != nil {
			t.Fatal(err)
		}
	}
	for track, pod := range map[string]string{"stable": "s-1", "canary": "c-1"} {
		base := []string{"service_name", "shop", "service_version", track + "-version", "deployment_track", track, "k8s_pod_name", pod, "http_route", "/a"}
		series := func(name string, more ...string) []string {
			return slices.Concat([]string{labels.MetricName, name}, base, more)
		}
		for i := range 40 {
			at := start.Add(time.Duration(i) * 15 * time.Second)
			n := float64(i * 100)
			if track == "canary" && i >= 20 {
				n = float64((i - 20) * 100) // the pod restarted
			}
			const name = "http_server_request_duration_seconds"
			add(at, n, series(name+"_count", "http_response_status_code", "200")...)
			if i > 3 {
				add(at, float64(i), series(name+"_count", "http_response_status_code", "500")...)
			}
			for _, le := range []string{"0.005", "0.1", "+Inf"} {
				add(at, n, series(name+"_bucket", "http_response_status_code", "200", "le", le)...)
			}
			orders := n / 2
			if i == 7 {
				orders = math.NaN()
			}
			if i == 8 {
				orders = math.Float64frombits(value.StaleNaN)
			}
			add(at, orders, series("orders_total")...)
			h := &histogram.FloatHistogram{Schema: 2, ZeroThreshold: 1e-3, ZeroCount: 1, Count: n + 7, Sum: n,
				PositiveSpans: []histogram.Span{{Offset: -4, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []float64{2, 4, n}}
			if _, err := app.AppendHistogram(0, labels.FromStrings(series("native_seconds", "http_response_status_code", "200")...), at.UnixMilli(), nil, h); err != nil {
				t.Fatal(err)
			}
			c := &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, Count: n + 3, Sum: n, CustomValues: []float64{0.1, 0.3, 2},
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 4}}, PositiveBuckets: []float64{1, 0, n, 2}}
			if _, err := app.AppendHistogram(0, labels.FromStrings(series("custom_seconds", "http_response_status_code", "200")...), at.UnixMilli(), nil, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// openTSDB reads the directory in this process.
func openTSDB(t *testing.T, dir string) storage.Queryable {
	t.Helper()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestIntegrationServerAndStorageAgree: what a real Prometheus answers over
// HTTP is what its storage holds.
func TestIntegrationServerAndStorageAgree(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	local := prom.NewSource(prom.NewLocal(openTSDB(t, dir)))
	served := t.TempDir()
	fill(t, served)
	client, err := prom.NewClient(prom.Config{URL: promtest.Start(t, promtest.Options{Dir: served})})
	if err != nil {
		t.Fatal(err)
	}
	remote := prom.NewSource(client)
	for _, latency := range []string{"http_server_request_duration_seconds", "native_seconds", "custom_seconds"} {
		t.Run(latency, func(t *testing.T) {
			c := analysis.Default()
			c.Metrics.Latency, c.Metrics.Requests = latency, latency+"_count"
			c.Business = []analysis.Business{{Name: "orders", Good: "orders_total", Of: "http_server_request_duration_seconds_count", MaxDrop: 0.1}}
			q := analysis.Query{
				From: start.Add(time.Minute), To: start.Add(9 * time.Minute), Lookback: 30 * time.Second, Config: &c,
				Tracks: [2]analysis.Selector{
					{Service: "shop", Track: "stable", Version: "stable-version"}, {Service: "shop", Track: "canary", Version: "canary-version"},
				},
			}
			fromServer, err := remote.Fetch(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			fromStorage, err := local.Fetch(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(fromStorage.Series) < 6 {
				t.Fatalf("only %d series", len(fromStorage.Series))
			}
			// JSON leaves out empty buckets; a native histogram says the same without them.
			trim := cmp.Transformer("trim", func(h *analysis.Histogram) string {
				if h == nil {
					return ""
				}
				return fmt.Sprintf("%v %v %v", h.Total(), h.Quantile(0.5), h.Quantile(0.99))
			})
			order := cmpopts.SortSlices(func(a, b analysis.Series) bool {
				return fmt.Sprint(a.Kind, a.Name, a.ID, a.LE) < fmt.Sprint(b.Kind, b.Name, b.ID, b.LE)
			})
			// The storage knows the bound 0.1 although nothing lies in it.
			empty := cmpopts.IgnoreSliceElements(func(s analysis.Series) bool { return latency == "custom_seconds" && s.LE == 0.3 })
			if diff := cmp.Diff(fromStorage, fromServer, order, trim, empty, cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("storage and server differ (-storage +server):\n%s", diff)
			}
		})
	}
}

// TestIntegrationErrorsEverSeen asks a real Prometheus about the past.
func TestIntegrationErrorsEverSeen(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	client, err := prom.NewClient(prom.Config{URL: promtest.Start(t, promtest.Options{Dir: dir})})
	if err != nil {
		t.Fatal(err)
	}
	c := analysis.Default()
	q := analysis.Query{
		From: start, To: start.Add(45 * time.Second), Lookback: 15 * time.Second, Config: &c,
		Tracks: [2]analysis.Selector{{Service: "shop", Track: "stable"}, {Service: "shop", Track: "canary"}},
	}
	// The first error comes at minute one: not within this range, nor before it.
	got, err := prom.NewSource(client).Fetch(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if got.ErrorsEverSeen {
		t.Error("ErrorsEverSeen before the first error")
	}
	q.From, q.To = start.Add(8*time.Minute), start.Add(9*time.Minute)
	if got, err = prom.NewSource(client).Fetch(context.Background(), q); err != nil {
		t.Fatal(err)
	}
	if !got.ErrorsEverSeen {
		t.Error("errors are in the answer, yet not seen")
	}
}
