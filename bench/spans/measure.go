package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"fairlead.dev/fairlead/internal/store/otlptest"
)

// load is how spans are put into requests.
type load struct {
	perPod bool
	size   int
}

var loads = map[string]load{"pods": {true, 512}, "collector512": {false, 512}, "collector8192": {false, 8192}}

type result struct {
	name              string
	perCPU, perSecond float64
	bytes             float64 // a span
	memory            int64
	times             [questions][]time.Duration
	found             [questions]int // what the last query returned
}

// senders is the number of requests under way at once.
const senders = 4

func measure(ctx context.Context, o options, start func(context.Context, options) (*target, error)) (res result, err error) {
	t, err := start(ctx, o)
	if err != nil {
		return res, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = t.stop()
		}
	}()
	res.name = t.name
	conn, err := grpc.NewClient(t.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return res, err
	}
	defer conn.Close()
	client := ptraceotlp.NewGRPCClient(conn)
	traces := o.spans / otlptest.SpansPerTrace
	shop := &otlptest.Shop{Seed: 1, Start: time.Now().Add(-24 * time.Hour), Step: 24 * time.Hour / time.Duration(traces)}

	before, err := t.cpu()
	if err != nil {
		return res, err
	}
	begin := time.Now()
	if err := send(ctx, client, shop, 0, traces, loads[o.load], 0); err != nil {
		return res, err
	}
	after, err := t.cpu()
	if err != nil {
		return res, err
	}
	res.perCPU = float64(o.spans) / (after - before).Seconds()
	res.perSecond = float64(o.spans) / time.Since(begin).Seconds()
	res.memory = t.memory()

	if err := query(ctx, o, t, client, shop, traces, &res); err != nil {
		return res, err
	}
	stopped = true
	if err := t.stop(); err != nil {
		return res, err
	}
	res.bytes = float64(t.bytes()) / float64(o.spans+sentDuring)
	return res, nil
}

// sentDuring counts the spans that arrived during the queries.
var sentDuring int

// send exports traces [from, to); with a rate, that many spans a second.
func send(ctx context.Context, client ptraceotlp.GRPCClient, shop *otlptest.Shop, from, to int, l load, rate int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan ptrace.Traces)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for td := range queue {
				if _, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
					cancel(fmt.Errorf("export: %w", err))
				}
			}
		})
	}
	begin, n := time.Now(), 0
	shop.Batches(from, to, l.size, l.perPod, func(td ptrace.Traces) {
		n += td.SpanCount()
		select {
		case queue <- td:
		case <-ctx.Done():
			return
		}
		if rate > 0 {
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(rate)))):
			case <-ctx.Done():
			}
		}
	})
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// query times the queries while more spans arrive.
func query(ctx context.Context, o options, t *target, client ptraceotlp.GRPCClient, shop *otlptest.Shop, traces int, res *result) error {
	loadCtx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	sentDuring = 0
	wg.Go(func() {
		for k := 0; loadCtx.Err() == nil; k++ {
			const some = 640 // traces, 5120 spans
			if send(loadCtx, client, shop, traces+k*some, traces+(k+1)*some, load{false, 512}, o.rate) == nil {
				sentDuring += some * otlptest.SpansPerTrace
			}
		}
	})
	defer wg.Wait()
	defer stop()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range o.queries {
		service := otlptest.Services[i%len(otlptest.Services)]
		id := shop.TraceID(r.IntN(traces))
		for q, ask := range t.ask {
			if ask == nil {
				continue
			}
			begin := time.Now()
			n, took, err := ask(ctx, service, id)
			if took == 0 {
				took = time.Since(begin)
			}
			if err == nil && (q == traceInProcess || q == traceHTTP) && n != otlptest.SpansPerTrace {
				err = fmt.Errorf("trace %s has %d spans, want %d", id, n, otlptest.SpansPerTrace)
			}
			if err != nil {
				return err
			}
			res.times[q], res.found[q] = append(res.times[q], took), n
		}
	}
	return nil
}

func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return -1 // not asked
	}
	s := slices.Sorted(slices.Values(d))
	return s[min(len(s)-1, int(q*float64(len(s))))].Seconds() * 1000
}

// print writes a column for each server, and the ratio of the first to the last.
func print(out io.Writer, o options, results []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d spans, %s", o.spans, o.load)
	for _, r := range results {
		fmt.Fprintf(w, "\t%s", r.name)
	}
	if len(results) > 1 {
		fmt.Fprint(w, "\tratio")
	}
	fmt.Fprintln(w)
	row := func(name, format string, value func(result) float64) {
		fmt.Fprint(w, name)
		for _, r := range results {
			if v := value(r); v >= 0 {
				fmt.Fprintf(w, "\t"+format, v)
			} else {
				fmt.Fprint(w, "\t-")
			}
		}
		if first, last := value(results[0]), value(results[len(results)-1]); len(results) > 1 && first >= 0 && last > 0 {
			fmt.Fprintf(w, "\t%.2f", first/last)
		}
		fmt.Fprintln(w)
	}
	row("ingest, spans per CPU-second", "%.0f", func(r result) float64 { return r.perCPU })
	row("ingest, spans a second", "%.0f", func(r result) float64 { return r.perSecond })
	row("bytes a span on disk", "%.1f", func(r result) float64 { return r.bytes })
	row("resident after ingest, MiB", "%.0f", func(r result) float64 { return float64(r.memory >> 20) })
	for q, name := range questionNames {
		for _, p := range []float64{0.5, 0.95} {
			row(fmt.Sprintf("%s, p%.0f ms", name, p*100), "%.1f", func(r result) float64 { return quantile(r.times[q], p) })
		}
		row("  found", "%.0f", func(r result) float64 {
			if len(r.times[q]) == 0 {
				return -1
			}
			return float64(r.found[q])
		})
	}
	_ = w.Flush()
}
