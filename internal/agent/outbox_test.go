package agent

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"fairlead.dev/fairlead/internal/otlp"
	"fairlead.dev/fairlead/internal/release"
)

// endpoint is an OTLP endpoint that is down until it is up.
type endpoint struct {
	*httptest.Server
	mu                         sync.Mutex
	up                         bool
	operations, events, points map[string]bool
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{operations: map[string]bool{}, events: map[string]bool{}, points: map[string]bool{}}
	e.Server = httptest.NewServer(http.HandlerFunc(e.receive))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) receive(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.up {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	body := io.Reader(r.Body)
	if z, err := gzip.NewReader(r.Body); err == nil {
		body = z
	}
	data, _ := io.ReadAll(body)
	logs, metrics := plogotlp.NewExportRequest(), pmetricotlp.NewExportRequest()
	switch r.URL.Path {
	case "/v1/logs":
		_ = logs.UnmarshalProto(data)
	case "/v1/metrics":
		_ = metrics.UnmarshalProto(data)
	}
	for _, rl := range logs.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() == release.EventName {
					e.operations[rec.Body().AsString()] = true
				} else {
					e.events[rec.Body().AsString()] = true
				}
			}
		}
	}
	for _, rm := range metrics.Metrics().ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				e.points[m.Name()] = true
			}
		}
	}
}

// TestEndpointDownForLong fills every queue many times over, ends the process,
// and lets the endpoint come back: no operation is lost to a flood of events,
// what is kept of each kind is its oldest, the disk is bounded, and what was not
// kept has been said.
func TestEndpointDownForLong(t *testing.T) {
	e := newEndpoint(t)
	upstreams, err := otlp.UpstreamsFromEnv(func(name string) string { return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": e.URL}[name] })
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := Options{
		Config: Config{Data: t.TempDir(), Metrics: Off}, Upstreams: upstreams, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		queueSizes: map[string]int{"operations": 600, "traces": 600, "metrics": 600, "events": 1000},
	}
	b, err := openOutbox(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for round := range 50 {
		b.Logs(records(release.EventName, "", 10, round))
		b.Logs(records("", "Pod", 100, round))
		if err := b.sendMetrics(t.Context(), points(60, round)); err != nil {
			refused++
		}
		b.flush(t.Context())
	}
	if b.dropped["operations"] != 0 || b.dropped["events"] < 3900 || refused < 30 {
		t.Errorf("dropped %v, %d of 50 batches of metrics refused", b.dropped, refused)
	}
	if said := log.String(); !strings.Contains(said, "the queue on disk takes no more") || !strings.Contains(said, "kind=events") {
		t.Errorf("nothing was said:\n%s", said)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if size := directorySize(t, o.Data); size > 4<<20 {
		t.Errorf("%d bytes on disk", size)
	}

	e.mu.Lock()
	e.up = true
	e.mu.Unlock()
	if b, err = openOutbox(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		e.mu.Lock()
		operations, events, points := len(e.operations), len(e.events), len(e.points)
		first, last := e.events["0/0"] && e.points["0/0"], e.events["49/99"] || e.points["49/59"]
		e.mu.Unlock()
		if operations == 500 && events >= 900 && points >= 500 {
			if !first || last {
				t.Errorf("the oldest came: %v; the newest came: %v", first, last)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("of 500 operations %d came, events %d, points %d", operations, events, points)
		}
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
}

// records are n log records with the body "round/i".
func records(event, kind string, n, round int) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	if kind != "" {
		rl.Resource().Attributes().PutStr("k8s.object.kind", kind)
	}
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		rec := recs.AppendEmpty()
		rec.SetEventName(event)
		rec.Body().SetStr(fmt.Sprintf("%d/%d", round, i))
	}
	return ld
}

// points are n points of gauges called "round/i".
func points(n, round int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	ms := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	for i := range n {
		m := ms.AppendEmpty()
		m.SetName(fmt.Sprintf("%d/%d", round, i))
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(int64(round), 0)))
		p.SetIntValue(1)
	}
	return md
}

func directorySize(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
