package emit

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// send emits one operation with every signal.
func send(t *testing.T) {
	t.Helper()
	for _, s := range signals {
		t.Setenv("OTEL_"+s+"_EXPORTER", "otlp")
	}
	e := Open(t.Context(), Options{})
	ctx, span := e.Start(context.Background(), "helm-upgrade", time.Now())
	op := example()
	e.Operation(ctx, op)
	e.Count(op)
	EndOperation(span, op)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// counts is what a receiver got, by signal.
type counts struct{ spans, records, points, authorised atomic.Int64 }

func (c *counts) check(t *testing.T) {
	t.Helper()
	if c.spans.Load() != 1 || c.records.Load() != 1 || c.points.Load() == 0 || c.authorised.Load() != 3 {
		t.Errorf("received %d spans, %d records, %d points, %d requests with the header",
			c.spans.Load(), c.records.Load(), c.points.Load(), c.authorised.Load())
	}
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	*counts
}

func (s *traceServer) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.authorise(ctx)
	s.spans.Add(int64(r.Traces().SpanCount()))
	return ptraceotlp.NewExportResponse(), nil
}

type logServer struct {
	plogotlp.UnimplementedGRPCServer
	*counts
}

func (s *logServer) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.authorise(ctx)
	s.records.Add(int64(r.Logs().LogRecordCount()))
	return plogotlp.NewExportResponse(), nil
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	*counts
}

func (s *metricServer) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.authorise(ctx)
	s.points.Add(int64(r.Metrics().DataPointCount()))
	return pmetricotlp.NewExportResponse(), nil
}

func (c *counts) authorise(ctx context.Context) {
	if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("x-tenant")) == 1 && md.Get("x-tenant")[0] == "shop" {
		c.authorised.Add(1)
	}
}

func TestGRPC(t *testing.T) {
	clean(t)
	c := &counts{}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &traceServer{counts: c})
	plogotlp.RegisterGRPCServer(server, &logServer{counts: c})
	pmetricotlp.RegisterGRPCServer(server, &metricServer{counts: c})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
	send(t)
	c.check(t)
}

func TestTLS(t *testing.T) {
	clean(t)
	c := &counts{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/v1/traces":
			req := ptraceotlp.NewExportRequest()
			err = req.UnmarshalProto(body)
			c.spans.Add(int64(req.Traces().SpanCount()))
		case "/v1/logs":
			req := plogotlp.NewExportRequest()
			err = req.UnmarshalProto(body)
			c.records.Add(int64(req.Logs().LogRecordCount()))
		case "/v1/metrics":
			req := pmetricotlp.NewExportRequest()
			err = req.UnmarshalProto(body)
			c.points.Add(int64(req.Metrics().DataPointCount()))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		if r.Header.Get("x-tenant") == "shop" {
			c.authorised.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", ca)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
	send(t)
	c.check(t)
}

// TestSampledOut checks that a parent's decision costs spans, never records or counts.
func TestSampledOut(t *testing.T) {
	clean(t)
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	tree, records := &Tree{}, &recordSink{}
	e := Open(t.Context(), Options{Sinks: []Sink{tree, records}})
	ctx, span := e.Start(e.FromEnvironment(t.Context()), "helm-upgrade", time.Now())
	op := example()
	e.Operation(ctx, op)
	EndOperation(span, op)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(tree.spans) != 0 || len(records.traceIDs) != 1 || records.traceIDs[0] != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%d spans, records of traces %v", len(tree.spans), records.traceIDs)
	}
}

// recordSink keeps the trace ids of log records.
type recordSink struct {
	Tree
	traceIDs []string
}

func (r *recordSink) Logs(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				r.traceIDs = append(r.traceIDs, l.TraceID().String())
			}
		}
	}
}
