package prom_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/prom"
)

func exemplarQuery(at time.Time, config *analysis.Config) analysis.Query {
	return analysis.Query{From: at.Add(-time.Minute), To: at.Add(time.Minute), Config: config, Tracks: [2]analysis.Selector{
		{Service: "shop", Track: "stable"}, {Service: "shop", Track: "canary"},
	}}
}

// The canary's exemplars are read, newest first, with what their series says of
// the request; stable's are not, and those whose label is no trace's id neither.
func TestExemplarsOfAStorage(t *testing.T) {
	at := time.Now().Truncate(time.Millisecond)
	options := tsdb.DefaultOptions()
	options.EnableExemplarStorage, options.MaxExemplars = true, 100
	db, err := tsdb.Open(t.TempDir(), nil, nil, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	app := db.Appender(context.Background())
	add := func(track, status, id string, seconds float64, at time.Time) {
		l := labels.FromStrings(labels.MetricName, "http_server_request_duration_seconds_bucket", "service_name", "shop", "deployment_track", track,
			"http_route", "/pay", "http_response_status_code", status, "le", "1")
		ref, err := app.Append(0, l, at.UnixMilli(), 1)
		if err != nil {
			t.Fatal(err)
		}
		name := "trace_id"
		if status == "500" {
			name = "traceID" // as some client libraries have it
		}
		e := exemplar.Exemplar{Labels: labels.FromStrings(name, id), Value: seconds, Ts: at.UnixMilli(), HasTs: true}
		if _, err := app.AppendExemplar(ref, l, e); err != nil {
			t.Fatal(err)
		}
	}
	add("canary", "200", "aa", 0.25, at)
	add("canary", "500", "BB", 0.5, at.Add(time.Second))
	add("canary", "503", "", 0.5, at)
	add("canary", "404", "../../rules", 0.5, at)
	add("canary", "501", strings.Repeat("a", 33), 0.5, at)
	add("stable", "500", "cc", 0.5, at)
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}

	config := analysis.Default()
	got, err := prom.NewSource(prom.NewLocal(db)).Exemplars(t.Context(), exemplarQuery(at, &config))
	if err != nil {
		t.Fatal(err)
	}
	want := []analysis.Exemplar{
		{TraceID: strings.Repeat("0", 30) + "bb", Route: "/pay", Failed: true, Seconds: 0.5, Time: at.Add(time.Second)},
		{TraceID: strings.Repeat("0", 30) + "aa", Route: "/pay", Seconds: 0.25, Time: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exemplars (-want +got):\n%s", diff)
	}
}

// A server's answer that is no list of exemplars is an error, not none.
func TestExemplarsMalformed(t *testing.T) {
	for name, answer := range map[string]any{
		"number": map[string]any{"status": "success", "data": 7},
		"value": map[string]any{"status": "success", "data": []any{map[string]any{
			"seriesLabels": map[string]string{}, "exemplars": []any{map[string]any{"labels": map[string]string{}, "value": "seven", "timestamp": 1}},
		}}},
		"refused": map[string]any{"status": "error", "error": "exemplar storage is off"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_ = json.NewEncoder(w).Encode(answer)
			}))
			defer srv.Close()
			client, err := prom.NewClient(prom.Config{URL: srv.URL, Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			config := analysis.Default()
			if got, err := prom.NewSource(client).Exemplars(t.Context(), exemplarQuery(time.Now(), &config)); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}
