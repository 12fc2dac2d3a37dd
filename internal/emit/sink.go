package emit

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Sink receives in this process what a collector would receive. Calls may be
// concurrent.
type Sink interface {
	Traces(ptrace.Traces)
	Logs(plog.Logs)
	Metrics(pmetric.Metrics)
}

const (
	sinkHost    = "sink.invalid" // never resolved: the transport answers
	sinkTraces  = "/v1/traces"
	sinkLogs    = "/v1/logs"
	sinkMetrics = "/v1/metrics"
)

// sinkClient is an HTTP client whose other end are the sinks, nil without any.
// The SDK's own exporters write to it, so that a sink sees the very bytes a
// collector would.
func sinkClient(sinks []Sink) *http.Client {
	if len(sinks) == 0 {
		return nil
	}
	return &http.Client{Transport: sinkTransport(sinks)}
}

type sinkTransport []Sink

// RoundTrip decodes the request's OTLP payload and hands it to the sinks.
func (t sinkTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	unmarshal := func(proto, json func([]byte) error) error {
		if strings.Contains(req.Header.Get("Content-Type"), "json") {
			return json(body)
		}
		return proto(body)
	}
	switch req.URL.Path {
	case sinkTraces:
		r := ptraceotlp.NewExportRequest()
		if err := unmarshal(r.UnmarshalProto, r.UnmarshalJSON); err != nil {
			return nil, err
		}
		for _, s := range t {
			s.Traces(r.Traces())
		}
	case sinkLogs:
		r := plogotlp.NewExportRequest()
		if err := unmarshal(r.UnmarshalProto, r.UnmarshalJSON); err != nil {
			return nil, err
		}
		for _, s := range t {
			s.Logs(r.Logs())
		}
	case sinkMetrics:
		r := pmetricotlp.NewExportRequest()
		if err := unmarshal(r.UnmarshalProto, r.UnmarshalJSON); err != nil {
			return nil, err
		}
		for _, s := range t {
			s.Metrics(r.Metrics())
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: req,
	}, nil
}
