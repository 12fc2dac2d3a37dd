package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/explain/explaintest"
	"fairlead.dev/fairlead/internal/server/tempoapi"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/tracing"
)

// batch is how many spans a request of an exporter holds.
const batch = 512

// timeStore fills an embedded store with an hour of traces and asks it what the
// two commands ask, through the Tempo API, in this process.
func timeStore(ctx context.Context, out io.Writer, o options) error {
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "explain"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	store, err := telemetry.Open(dir, telemetry.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	now := time.Now()
	began := time.Now()
	spans, err := fill(ctx, store, o, now)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d spans of an hour stored in %s\n", spans, time.Since(began).Round(time.Second))

	tempo, err := tracing.NewTempo("http://in-process", tracing.Options{HTTP: tracing.InProcess(tempoapi.New(store, tempoapi.Options{}))})
	if err != nil {
		return err
	}
	c := tracing.Canary{Service: "shop", Version: "2.0", Start: now.Add(-time.Hour), End: now}
	var failures, explained times
	for range o.queries {
		err := failures.measure(func() error {
			r, err := tracing.Failed(ctx, tempo, c, 20)
			if err == nil && len(r.Traces) != 20 {
				err = fmt.Errorf("failures: %d traces, want 20", len(r.Traces))
			}
			return err
		})
		if err != nil {
			return err
		}
		err = explained.measure(func() error {
			found, err := tracing.Explain(ctx, tempo, c)
			if err == nil && len(found.Errors.Findings) == 0 {
				err = fmt.Errorf("explain: nothing found: %s", found.Summary)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "failures (newest 20, read whole): %s\n", failures)
	fmt.Fprintf(out, "explain (up to 1,200 traces read whole, compared twice): %s\n", explained)
	return nil
}

// fill stores traces of three spans: one request in twenty to the canary, a
// tenth of which fail, on one route.
func fill(ctx context.Context, store *telemetry.Store, o options, now time.Time) (int, error) {
	n := o.spans / 3
	rng := rand.New(rand.NewPCG(o.seed, 9))
	in, _ := explaintest.Make(rng, explaintest.CauseRoute, explaintest.Sizes{
		Failing: n / 200, Healthy: n / 20, StableFailing: n / 1000, StableHealthy: n - n/200 - n/20 - n/1000,
	})
	traces := slices.Concat(in.Failing, in.Healthy, in.StableFailing, in.StableHealthy)
	rng.Shuffle(len(traces), func(i, j int) { traces[i], traces[j] = traces[j], traces[i] })
	spans := 0
	td := ptrace.NewTraces()
	for i, t := range traces {
		at := now.Add(-time.Hour + time.Duration(i)*time.Hour/time.Duration(len(traces)+1))
		if err := addTrace(td, t, at); err != nil {
			return spans, err
		}
		spans += len(t.Spans)
		if td.SpanCount() < batch && i < len(traces)-1 {
			continue
		}
		if err := store.ConsumeTraces(ctx, td); err != nil {
			return spans, err
		}
		td = ptrace.NewTraces()
	}
	return spans, nil
}

// addTrace adds a trace that begins at a time of its own.
func addTrace(td ptrace.Traces, t explain.Trace, at time.Time) error {
	rs := td.ResourceSpans().AppendEmpty()
	put(rs.Resource().Attributes(), t.Spans[0].Resource)
	to := rs.ScopeSpans().AppendEmpty().Spans()
	var traceID pcommon.TraceID
	if _, err := hex.Decode(traceID[:], []byte(t.ID)); err != nil {
		return err
	}
	first := t.Spans[0].Start
	for _, s := range t.Spans {
		var id, parent pcommon.SpanID
		if _, err := hex.Decode(id[:], []byte(s.ID)); err != nil {
			return err
		}
		if _, err := hex.Decode(parent[:], []byte(s.ParentID)); err != nil {
			return err
		}
		sp := to.AppendEmpty()
		sp.SetTraceID(traceID)
		sp.SetSpanID(id)
		sp.SetParentSpanID(parent)
		sp.SetName(s.Name)
		start := at.Add(s.Start.Sub(first))
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(s.Duration)))
		put(sp.Attributes(), s.Attributes)
		if s.Error {
			sp.Status().SetCode(ptrace.StatusCodeError)
			sp.Status().SetMessage(s.Message)
		}
		for _, e := range s.Exceptions {
			ev := sp.Events().AppendEmpty()
			ev.SetName("exception")
			ev.SetTimestamp(sp.EndTimestamp())
			ev.Attributes().PutStr("exception.type", e.Type)
			ev.Attributes().PutStr("exception.message", e.Message)
		}
	}
	return nil
}

func put(m pcommon.Map, values map[string]string) {
	for k, v := range values {
		m.PutStr(k, v)
	}
}
