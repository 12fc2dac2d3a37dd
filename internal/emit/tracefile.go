package emit

import (
	"io"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// JSONLines writes everything exported as OTLP/JSON, one request a line: the
// format of the Collector's file exporter and otlpjsonfile receiver.
type JSONLines struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// NewJSONLines returns a Sink that writes to w.
func NewJSONLines(w io.Writer) *JSONLines { return &JSONLines{w: w} }

// Err returns the first error of writing.
func (j *JSONLines) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Traces writes one line.
func (j *JSONLines) Traces(td ptrace.Traces) {
	j.write((&ptrace.JSONMarshaler{}).MarshalTraces(td))
}

// Logs writes one line.
func (j *JSONLines) Logs(ld plog.Logs) {
	j.write((&plog.JSONMarshaler{}).MarshalLogs(ld))
}

// Metrics writes one line.
func (j *JSONLines) Metrics(md pmetric.Metrics) {
	j.write((&pmetric.JSONMarshaler{}).MarshalMetrics(md))
}

func (j *JSONLines) write(line []byte, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	if j.err == nil {
		j.err = err
	}
}
