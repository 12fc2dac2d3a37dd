package emit

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/fairlead/internal/release"
)

// clean takes the machine's own settings away and turns the exporters off.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
		"TRACEPARENT", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "OTEL_SDK_DISABLED"} {
		t.Setenv(name, "")
	}
	for _, s := range signals {
		t.Setenv("OTEL_"+s+"_EXPORTER", "none")
	}
}

func example() release.Operation {
	prev, code := 2, 1
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return release.Operation{
		ID: "8f1c/deploy", Command: "upgrade", Kind: release.KindUpgrade, State: release.StateFailed,
		Observers: []release.Observer{release.ObserverWrapper}, Namespace: "shop", Release: "checkout", PreviousRevision: &prev, Revision: 3,
		ExitCode: &code, Start: at, End: at.Add(12 * time.Second), ErrorType: release.ErrorNotReady, Cause: "Deployment checkout is not ready",
	}
}

func TestTreeOfAFailure(t *testing.T) {
	clean(t)
	tree := &Tree{}
	var lines bytes.Buffer
	e := Open(t.Context(), Options{Sinks: []Sink{tree, NewJSONLines(&lines)}})
	op := example()
	ctx, span := e.Start(context.Background(), release.SpanName(op.Command), op.Start)
	e.Steps(ctx, []release.Step{{
		Name: "k8s.workload.rollout", Start: op.Start.Add(time.Second), End: op.End, Failed: true, Reason: "CrashLoopBackOff", Message: "secret s3cr3t",
		Attributes: map[string]any{"k8s.deployment.name": "checkout"},
	}}, func(s string) string { return strings.ReplaceAll(s, "s3cr3t", "***") })
	e.Failed(ctx, op)
	e.Operation(ctx, op)
	e.Count(op)
	EndOperation(span, op)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tree.Print(&out, TreeOptions{Bar: 12}); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(out.String(), "\n")
	want := `helm-upgrade checkout            ✗    12.0s  ████████████
├─ k8s.workload.rollout checkout ✗    11.0s   ███████████
└─ helm-upgrade-failed not_ready ✗        ·             █
      Deployment checkout is not ready
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, want := range []string{`"resourceSpans"`, `"resourceLogs"`, `"resourceMetrics"`, `"eventName":"helm.operation"`, `"helm.deploy.count"`} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the JSON lines lack %s", want)
		}
	}
	if strings.Contains(lines.String(), "s3cr3t") {
		t.Error("a step's message was not redacted")
	}
}

func TestTraceparentIsJoinedAndHandedOn(t *testing.T) {
	clean(t)
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	e := Open(t.Context(), Options{})
	ctx, span := e.Start(e.FromEnvironment(t.Context()), "helm-upgrade", time.Now())
	defer span.End()
	if id := span.SpanContext().TraceID().String(); id != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace id %s", id)
	}
	env := e.Environment(ctx, []string{"TRACEPARENT=old", "PATH=/bin"})
	want := "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-" + span.SpanContext().SpanID().String() + "-01"
	if len(env) != 2 || env[0] != "PATH=/bin" || env[1] != want {
		t.Errorf("environment %q, want PATH and %s", env, want)
	}
}

func TestGivenIDsAreUsedOnce(t *testing.T) {
	clean(t)
	e := Open(t.Context(), Options{})
	traceID, spanID := trace.TraceID{1}, trace.SpanID{2}
	ctx, span := e.Start(WithIDs(t.Context(), traceID, spanID), "helm-upgrade", time.Now())
	_, child := e.Start(ctx, "helm-rollback", time.Now())
	if sc := span.SpanContext(); sc.TraceID() != traceID || sc.SpanID() != spanID {
		t.Errorf("root %v", sc)
	}
	if sc := child.SpanContext(); sc.TraceID() != traceID || sc.SpanID() == spanID {
		t.Errorf("child %v", sc)
	}
}

func TestEveryValueFollowsAZero(t *testing.T) {
	e := &Emitter{temporality: metricdata.DeltaTemporality}
	now := time.Now()
	rm := e.metricData([]release.Operation{example()}, now)
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for i, p := range d.DataPoints {
				if i%2 == 0 && (p.Value != 0 || !p.Time.Equal(now.Add(-zeroBefore))) {
					t.Errorf("%s: point %d is %+v, want a zero before its value", m.Name, i, p)
				}
				if !d.IsMonotonic || d.Temporality != metricdata.DeltaTemporality {
					t.Errorf("%s is no delta counter", m.Name)
				}
			}
			if m.Name == release.MetricDeployCount {
				var total int64
				for _, p := range d.DataPoints {
					if v, _ := p.Attributes.Value("helm.success"); v.AsString() == "false" {
						total += p.Value
					}
				}
				if total != 1 {
					t.Errorf("the failed deploy counts %d", total)
				}
			}
		case metricdata.Histogram[float64]:
			p := d.DataPoints[1]
			if p.Count != 1 || p.Sum != 12 || p.BucketCounts[4] != 1 { // (10, 15]
				t.Errorf("duration %+v", p)
			}
		}
	}
}

// order remembers in which order signals arrive, and the metrics' exemplars.
type order struct {
	mu        sync.Mutex
	signals   []string
	exemplars []string // trace id/span id of points that count something
}

func (o *order) add(signal string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.signals = append(o.signals, signal)
}

func (o *order) Traces(ptrace.Traces) { o.add("traces") }

func (o *order) Logs(plog.Logs) {
	time.Sleep(20 * time.Millisecond) // a receiver that takes its time
	o.add("logs")
}

func (o *order) Metrics(md pmetric.Metrics) {
	o.add("metrics")
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() != release.MetricDeployCount {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			if (p.Exemplars().Len() == 1) != (p.IntValue() == 1) {
				o.exemplars = append(o.exemplars, "a point with or without an exemplar that should not be so")
			}
			for _, e := range p.Exemplars().All() {
				o.exemplars = append(o.exemplars, e.TraceID().String()+"/"+e.SpanID().String())
			}
		}
	}
}

// TestMetricsComeLastAndNameTheirOperation: a receiver that derives metrics from
// records drops ours where it has the record, so it must have it by then.
func TestMetricsComeLastAndNameTheirOperation(t *testing.T) {
	clean(t)
	var got order
	e := Open(t.Context(), Options{Sinks: []Sink{&got}})
	op := example()
	ctx, span := e.Start(context.Background(), release.SpanName(op.Command), op.Start)
	op.TraceID, op.SpanID = IDsOf(ctx)
	e.Operation(ctx, op)
	e.Count(op)
	EndOperation(span, op)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got.signals) != 3 || got.signals[2] != "metrics" {
		t.Errorf("arrived in the order %v, want metrics last", got.signals)
	}
	if want := []string{op.TraceID + "/" + op.SpanID}; !slices.Equal(got.exemplars, want) {
		t.Errorf("exemplars %v, want %v", got.exemplars, want)
	}
}

func TestMetricsOfTwoRunsAreOneSeries(t *testing.T) {
	res := resource.NewSchemaless(
		attribute.String("service.name", "p"), attribute.String("deployment.environment.name", "prod"),
		attribute.String("cicd.pipeline.run.id", "17"), attribute.String("service.instance.id", "x"), attribute.String("host.name", "h"),
		attribute.String("telemetry.sdk.version", "1"), attribute.String("vcs.ref.head.revision", "abc"),
	)
	if got := stableResource(res).String(); got != "deployment.environment.name=prod,service.name=p" {
		t.Errorf("got %s", got)
	}
}

func TestOneLineForOneCause(t *testing.T) {
	f := &failures{}
	f.add("traces", errors.New(`Post "http://c:4318/v1/traces": dial tcp 1.2.3.4:4318: connect: connection refused`))
	f.add("logs", errors.New(`Post "http://c:4318/v1/logs": dial tcp 1.2.3.4:4318: connect: connection refused`))
	if got := f.summary(); got != "connection refused (logs, traces)" {
		t.Errorf("got %q", got)
	}
}

func TestPlan(t *testing.T) {
	cases := []struct {
		reason string
		env    map[string]string
		want   string // destination
		note   string
	}{
		{"one endpoint for all", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:pw@c.example:4318/x?token=1"}, "https://c.example:4318/x", ""},
		{"one signal elsewhere", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://b"}, "http://a, http://b", ""},
		{"an exporter that nobody knows", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, "http://a", `OTEL_TRACES_EXPORTER="zipkin" is not one of otlp, console, none`},
		{"a protocol that nobody knows", map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "thrift"}, "", `OTLP protocol "thrift" is not one of grpc, http/protobuf, http/json`},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			clean(t)
			for _, s := range signals {
				t.Setenv("OTEL_"+s+"_EXPORTER", "otlp")
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			p := planFromEnv(t.Context())
			if p.destination() != c.want || strings.Join(p.notes, "") != c.note {
				t.Errorf("destination %q, notes %q", p.destination(), p.notes)
			}
		})
	}
}
