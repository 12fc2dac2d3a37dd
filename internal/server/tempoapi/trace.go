package tempoapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/store/traceql"
)

const protobuf = "application/protobuf"

// traceV1 answers a Trace: a TracesData in protobuf; in JSON its groups are
// called batches, and ids are in base64, as in Tempo.
func (a *api) traceV1(w http.ResponseWriter, r *http.Request) error {
	data, sc, err := a.traceData(r)
	if err != nil {
		return err
	}
	a.note(w, sc)
	if wantsProtobuf(r) {
		w.Header().Set("Content-Type", protobuf)
		_, _ = w.Write(data)
		return nil
	}
	body, err := traceJSON(data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(strings.Replace(body, `"resourceSpans"`, `"batches"`, 1)))
	return nil
}

// Field numbers and values of tempopb.TraceByIDResponse.
const (
	responseTrace   = 1
	responseStatus  = 3
	responseMessage = 4
	statusPartial   = 1
)

// traceV2 answers a TraceByIDResponse: the trace, and whether it is complete.
func (a *api) traceV2(w http.ResponseWriter, r *http.Request) error {
	data, sc, err := a.traceData(r)
	if err != nil {
		return err
	}
	a.note(w, sc)
	message := ""
	if n := len(sc.Skipped); n > 0 {
		message = fmt.Sprintf("%d damaged parts of the store were left out", n)
	}
	if wantsProtobuf(r) {
		out := protowire.AppendTag(nil, responseTrace, protowire.BytesType)
		out = protowire.AppendBytes(out, data)
		if message != "" {
			out = protowire.AppendTag(out, responseStatus, protowire.VarintType)
			out = protowire.AppendVarint(out, statusPartial)
			out = protowire.AppendTag(out, responseMessage, protowire.BytesType)
			out = protowire.AppendString(out, message)
		}
		w.Header().Set("Content-Type", protobuf)
		_, _ = w.Write(out)
		return nil
	}
	body, err := traceJSON(data)
	if err != nil {
		return err
	}
	tail := fmt.Sprintf(`,"metrics":{"inspectedBytes":"%d"}}`, sc.Bytes)
	if message != "" {
		tail = fmt.Sprintf(`,"status":"PARTIAL","message":%q`, message) + tail
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"trace":` + body + tail))
	return nil
}

func wantsProtobuf(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), protobuf)
}

// traceData returns the trace that the path names, cut to start and end and to
// the spans that q selects, when they are given.
func (a *api) traceData(r *http.Request) ([]byte, telemetry.Scanned, error) {
	var sc telemetry.Scanned
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		return nil, sc, badRequest("invalid trace id %q: %w", r.PathValue("id"), err)
	}
	p := &params{values: r.URL.Query()}
	from, to := p.timeRange()
	q := p.query("q")
	if p.err != nil {
		return nil, sc, p.err
	}
	traces, sc, err := a.store.Traces(r.Context(), []otlpwire.TraceID{id})
	if err != nil {
		return nil, sc, err
	}
	spans := traces[id]
	if len(spans) > 0 {
		t := newTrace(id, spans)
		// The range says where to look for the trace, not which of its spans
		// to show: a trace that touches it is returned whole.
		if !from.IsZero() && t.end < from.UnixNano() || !to.IsZero() && t.start >= to.UnixNano() {
			spans = nil
		} else {
			spans = filter(t, q)
		}
	}
	if len(spans) == 0 {
		return nil, sc, &httpError{http.StatusNotFound, errors.New("trace not found")}
	}
	return telemetry.Encode(spans), sc, nil
}

// filter returns the spans that q selects and their ancestors.
func filter(t *trace, q *traceql.Query) []*telemetry.StoredSpan {
	keep := map[int]bool{}
	for _, i := range q.Match(t.nodes()) {
		for ; i >= 0 && !keep[i]; i = t.parents[i] {
			keep[i] = true
		}
	}
	var spans []*telemetry.StoredSpan
	for i, sp := range t.spans {
		if keep[i] {
			spans = append(spans, sp)
		}
	}
	return spans
}

// parseTraceID reads up to 32 hexadecimal digits; leading zeros may be left
// out, as Tempo's search does.
func parseTraceID(s string) (id otlpwire.TraceID, err error) {
	const digits = 2 * len(id)
	if s == "" || len(s) > digits {
		return id, fmt.Errorf("must have 1 to %d hexadecimal digits", digits)
	}
	b, err := hex.DecodeString(strings.Repeat("0", digits-len(s)) + s)
	if err != nil {
		return id, errors.New("must have hexadecimal digits only")
	}
	copy(id[:], b)
	return id, nil
}

// traceJSON encodes a TracesData as protobuf's JSON mapping has it, which is
// what Tempo answers: ids in base64, enums by name.
func traceJSON(data []byte) (string, error) {
	var td tracepb.TracesData
	if err := proto.Unmarshal(data, &td); err != nil {
		return "", fmt.Errorf("decode trace: %w", err)
	}
	body, err := protojson.MarshalOptions{}.Marshal(&td)
	if err != nil {
		return "", fmt.Errorf("encode trace: %w", err)
	}
	return string(body), nil
}
