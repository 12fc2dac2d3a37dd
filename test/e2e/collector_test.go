//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// collector receives OTLP over HTTP and keeps all of it.
type collector struct {
	*httptest.Server

	down atomic.Bool // answers 503

	mu      sync.Mutex
	raw     bytes.Buffer // every body, decompressed
	headers []http.Header
	spans   []ptrace.Span
	logs    []logRecord
	metrics []pmetric.Metrics
}

// logRecord is a log record with its resource.
type logRecord struct {
	plog.LogRecord
	resource pcommon.Map
	received time.Time
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	if c.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(data)
	c.headers = append(c.headers, r.Header.Clone())
	switch r.URL.Path {
	case "/v1/traces":
		req := ptraceotlp.NewExportRequest()
		err = req.UnmarshalProto(data)
		for _, rs := range req.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					c.spans = append(c.spans, s)
				}
			}
		}
	case "/v1/logs":
		req := plogotlp.NewExportRequest()
		err = req.UnmarshalProto(data)
		for _, rl := range req.Logs().ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, l := range sl.LogRecords().All() {
					c.logs = append(c.logs, logRecord{l, rl.Resource().Attributes(), time.Now()})
				}
			}
		}
	case "/v1/metrics":
		req := pmetricotlp.NewExportRequest()
		err = req.UnmarshalProto(data)
		c.metrics = append(c.metrics, req.Metrics())
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// bytes returns every byte that was exported.
func (c *collector) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.raw.Bytes())
}

// events returns the log records of that event name, in the order received.
func (c *collector) events(name string) []logRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []logRecord
	for _, l := range c.logs {
		if l.EventName() == name {
			out = append(out, l)
		}
	}
	return out
}

// kubernetesEvents returns the log records of Kubernetes events.
func (c *collector) kubernetesEvents() []logRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []logRecord
	for _, l := range c.logs {
		if _, ok := l.Attributes().Get("k8s.event.reason"); ok {
			out = append(out, l)
		}
	}
	return out
}

// sum returns the sum of a metric's points whose attributes include all of
// want, over everything received, and the number of points.
func (c *collector) sum(name string, want map[string]string) (total float64, points int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add := func(attrs pcommon.Map, v float64) {
		for k, w := range want {
			if got, ok := attrs.Get(k); !ok || got.AsString() != w {
				return
			}
		}
		total += v
		points++
	}
	for _, md := range c.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != name {
						continue
					}
					switch m.Type() {
					case pmetric.MetricTypeSum:
						for _, p := range m.Sum().DataPoints().All() {
							add(p.Attributes(), float64(p.IntValue()))
						}
					case pmetric.MetricTypeHistogram:
						for _, p := range m.Histogram().DataPoints().All() {
							add(p.Attributes(), float64(p.Count()))
						}
					}
				}
			}
		}
	}
	return total, points
}

// cumulative returns the first and the last value of the one series of a
// counter whose attributes include all of want, by time.
func (c *collector) cumulative(name string, want map[string]string) (first, last float64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var from, to pcommon.Timestamp
	for _, m := range c.named(name) {
	points:
		for _, p := range m.Sum().DataPoints().All() {
			for k, w := range want {
				if attr(p.Attributes(), k) != w {
					continue points
				}
			}
			if !ok || p.Timestamp() < from {
				from, first = p.Timestamp(), float64(p.IntValue())
			}
			if !ok || p.Timestamp() >= to {
				to, last = p.Timestamp(), float64(p.IntValue())
			}
			ok = true
		}
	}
	return first, last, ok
}

// gauge returns the last value of a release's gauge.
func (c *collector) gauge(name, release string) (value float64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.named(name) {
		for _, p := range m.Gauge().DataPoints().All() {
			if attr(p.Attributes(), "helm.release") == release {
				value, ok = p.DoubleValue(), !p.Flags().NoRecordedValue()
			}
		}
	}
	return value, ok
}

func (c *collector) named(name string) (out []pmetric.Metric) {
	for _, md := range c.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() == name {
						out = append(out, m)
					}
				}
			}
		}
	}
	return out
}

// tree is one trace.
type tree struct {
	t     *testing.T
	spans []ptrace.Span
}

// trace returns the one trace that was received; it fails when there are more.
func (c *collector) trace(t *testing.T) tree {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := map[pcommon.TraceID]bool{}
	for _, s := range c.spans {
		ids[s.TraceID()] = true
	}
	if len(ids) != 1 {
		t.Fatalf("%d traces were received, want 1", len(ids))
	}
	return tree{t, append([]ptrace.Span{}, c.spans...)}
}

// reset forgets what was received.
func (c *collector) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans, c.logs, c.metrics, c.headers = nil, nil, nil, nil
	c.raw.Reset()
}

// named returns the spans of that name.
func (tr tree) named(name string) []ptrace.Span {
	var out []ptrace.Span
	for _, s := range tr.spans {
		if s.Name() == name {
			out = append(out, s)
		}
	}
	return out
}

// one returns the only span of that name.
func (tr tree) one(name string) ptrace.Span {
	tr.t.Helper()
	found := tr.named(name)
	if len(found) != 1 {
		tr.t.Fatalf("%d spans named %s, want 1; the trace has %v", len(found), name, tr.names())
	}
	return found[0]
}

// none fails when there is a span of that name.
func (tr tree) none(name string) {
	tr.t.Helper()
	if found := tr.named(name); len(found) != 0 {
		tr.t.Errorf("%d spans named %s, want none", len(found), name)
	}
}

func (tr tree) names() []string {
	var out []string
	for _, s := range tr.spans {
		out = append(out, s.Name())
	}
	return out
}

// under fails unless child is a descendant of parent.
func (tr tree) under(child, parent ptrace.Span) {
	tr.t.Helper()
	by := map[pcommon.SpanID]ptrace.Span{}
	for _, s := range tr.spans {
		by[s.SpanID()] = s
	}
	for at := child; ; {
		if at.ParentSpanID() == parent.SpanID() {
			return
		}
		next, ok := by[at.ParentSpanID()]
		if !ok {
			tr.t.Errorf("span %s is not under %s", child.Name(), parent.Name())
			return
		}
		at = next
	}
}

// attr returns an attribute as text, "" when it is not there.
func attr(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

// wantAttrs compares attributes as text; "-" wants the attribute to be absent.
func wantAttrs(t *testing.T, what string, m pcommon.Map, want map[string]string) {
	t.Helper()
	for k, w := range want {
		got, ok := m.Get(k)
		switch {
		case w == "-" && ok:
			t.Errorf("%s: %s = %q, want none", what, k, got.AsString())
		case w == "-":
		case !ok:
			t.Errorf("%s: no %s, want %q", what, k, w)
		case got.AsString() != w:
			t.Errorf("%s: %s = %q, want %q", what, k, got.AsString(), w)
		}
	}
}
