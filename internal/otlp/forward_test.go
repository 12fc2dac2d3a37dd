package otlp

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func upstream(r *Receiver, overHTTP bool) Upstream {
	u := Upstream{Name: "up", Endpoint: r.GRPCAddr(), Insecure: true, Signals: []string{"traces", "metrics", "logs"},
		Compression: "gzip", Resource: map[string]string{"deployment.environment": "prod"},
		BatchSize: 512, BatchTimeout: 50 * time.Millisecond, QueueSize: 10_000, Timeout: 5 * time.Second,
		RetryInitial: 50 * time.Millisecond, RetryMax: 100 * time.Millisecond}
	if overHTTP {
		u.HTTP, u.Endpoint, u.Compression = true, "http://"+r.HTTPAddr(), "zstd"
	}
	return u
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 { // far beyond what a loaded machine needs
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s did not happen", what)
}

func TestForwardAllSignalsWithResourceAttributes(t *testing.T) {
	for name, overHTTP := range map[string]bool{"gRPC": false, "HTTP": true} {
		t.Run(name, func(t *testing.T) {
			s := &sink{}
			r := start(t, ReceiverOptions{}, s)
			q, err := OpenQueue(filepath.Join(t.TempDir(), "q.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			f := startForwarder(t, upstream(r, overHTTP), q)
			td := spans(3)
			td.ResourceSpans().At(0).Resource().Attributes().PutStr("deployment.environment", "test")
			for _, err := range []error{f.ConsumeTraces(t.Context(), td), f.ConsumeMetrics(t.Context(), gauge(4)), f.ConsumeLogs(t.Context(), records(5))} {
				if err != nil {
					t.Fatal(err)
				}
			}
			waitFor(t, "forwarding of 3 spans, 4 points, 5 records", func() bool {
				n, p, l := s.counts()
				return n == 3 && p == 4 && l == 5
			})
			if s.env != "prod" {
				t.Errorf("deployment.environment arrived as %q, want the configured prod", s.env)
			}
			if v, _ := td.ResourceSpans().At(0).Resource().Attributes().Get("deployment.environment"); v.Str() != "test" {
				t.Error("the forwarder changed the data of the other parts")
			}
		})
	}
}

func startForwarder(t *testing.T, u Upstream, q *Queue) *Forwarder {
	t.Helper()
	f, err := NewForwarder(u, q, Telemetry{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Shutdown(context.Background()) })
	return f
}

// What was queued while the upstream was down arrives after both have been
// restarted.
func TestQueueOutlivesTheProcess(t *testing.T) {
	s := &sink{}
	down, err := NewReceiver(ReceiverOptions{GRPC: "127.0.0.1:0"}, s.consumers())
	if err != nil {
		t.Fatal(err)
	}
	if err := down.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := upstream(down, false)
	if err := down.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "q.db")
	q, err := OpenQueue(path)
	if err != nil {
		t.Fatal(err)
	}
	f := startForwarder(t, u, q)
	for range 10 {
		if err := f.ConsumeMetrics(t.Context(), gauge(7)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}

	up := start(t, ReceiverOptions{}, s)
	u.Endpoint = up.GRPCAddr()
	if q, err = OpenQueue(path); err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	startForwarder(t, u, q)
	waitFor(t, "forwarding of the 70 queued points", func() bool {
		_, p, _ := s.counts()
		return p >= 70
	})
}
