// Package webtest fills a running server over OTLP, as wrapper, agent,
// applications and rollout drivers do, so that pages are tested, measured and
// pictured with data that went the whole way.
package webtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
)

// Sender sends to the OTLP/HTTP receiver of a server.
type Sender struct {
	OTLP  string // base URL of the receiver
	Token string // "" = none
}

func (s Sender) post(ctx context.Context, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.OTLP+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send to %s: %w", path, err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("send to %s: %s %s %w", path, resp.Status, answer, err)
	}
	return nil
}

// Logs sends logs.
func (s Sender) Logs(ctx context.Context, ld plog.Logs) error {
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		return err
	}
	return s.post(ctx, "/v1/logs", body)
}

// Traces sends traces.
func (s Sender) Traces(ctx context.Context, td ptrace.Traces) error {
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		return err
	}
	return s.post(ctx, "/v1/traces", body)
}

// Metrics sends metrics.
func (s Sender) Metrics(ctx context.Context, md pmetric.Metrics) error {
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		return err
	}
	return s.post(ctx, "/v1/metrics", body)
}

// Operations sends operations as their observers do.
func (s Sender) Operations(ctx context.Context, ops ...release.Operation) error {
	const batch = 500
	for len(ops) > 0 {
		n := min(batch, len(ops))
		ld := plog.NewLogs()
		sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		sl.Scope().SetName(release.Scope)
		for _, op := range ops[:n] {
			rec := sl.LogRecords().AppendEmpty()
			rec.SetEventName(release.EventName)
			rec.SetTimestamp(pcommon.NewTimestampFromTime(op.Start))
			put(rec.Attributes(), op.Attributes())
			var trace pcommon.TraceID
			var span pcommon.SpanID
			if n, err := hex.Decode(trace[:], []byte(op.TraceID)); err == nil && n == len(trace) {
				rec.SetTraceID(trace)
			}
			if n, err := hex.Decode(span[:], []byte(op.SpanID)); err == nil && n == len(span) {
				rec.SetSpanID(span)
			}
		}
		if err := s.Logs(ctx, ld); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// Rollouts sends records of rollouts as their drivers do.
func (s Sender) Rollouts(ctx context.Context, records ...rollout.Record) error {
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, r := range records {
		body, err := r.Encode()
		if err != nil {
			return err
		}
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(rollout.RecordEvent)
		rec.SetTimestamp(pcommon.NewTimestampFromTime(r.At))
		rec.Attributes().PutStr(rollout.AttrRolloutID, r.ID)
		rec.Body().SetStr(string(body))
	}
	return s.Logs(ctx, ld)
}

// Events sends Kubernetes events, stamped with the operation that they belong to.
func (s Sender) Events(ctx context.Context, op release.Operation, events ...release.Event) error {
	ld := plog.NewLogs()
	for _, e := range events {
		rl := ld.ResourceLogs().AppendEmpty()
		put(rl.Resource().Attributes(), e.ResourceAttributes())
		rl.Resource().Attributes().PutStr("service.name", release.ServiceName)
		rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		rec.SetTimestamp(pcommon.NewTimestampFromTime(e.Last))
		number, text := e.Severity()
		rec.SetSeverityNumber(plog.SeverityNumber(number))
		rec.SetSeverityText(text)
		rec.Body().SetStr(e.Message)
		put(rec.Attributes(), e.Attributes())
		put(rec.Attributes(), map[string]any{release.AttrID: op.ID, release.AttrRelease: op.Release, release.AttrCluster: op.Cluster})
	}
	return s.Logs(ctx, ld)
}

func put(m pcommon.Map, attrs map[string]any) {
	for k, v := range attrs {
		switch v := v.(type) {
		case string:
			m.PutStr(k, v)
		case int64:
			m.PutInt(k, v)
		case bool:
			m.PutBool(k, v)
		}
	}
}

// second rounds a time as the Kubernetes API has it.
func second(t time.Time) time.Time { return t.Truncate(time.Second) }
