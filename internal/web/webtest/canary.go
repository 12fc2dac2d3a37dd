package webtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/rollout"
)

// Traffic is what both tracks of a service serve.
type Traffic struct {
	Service        string
	Canary, Stable string    // versions
	Start          time.Time // of the canary
	End            time.Time
	History        time.Duration // of stable alone, before
	Rate           float64       // requests per second, of all
	Weight         float64       // share of the canary
	ErrorsStable   float64
	ErrorsCanary   float64 // on the route that is broken
	Seed           uint64
}

var (
	routes = []string{"GET /products", "POST /cart", "POST /checkout", "GET /orders/{id}"}
	bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
)

// path is a route without its method.
func path(route string) string {
	_, p, _ := strings.Cut(route, " ")
	return p
}

const (
	scrape   = 15 * time.Second
	canaries = 1
	stables  = 3
)

// Send sends the traffic as cumulative histograms of the semantic conventions,
// every 15 s, and traces of failed and healthy requests of both tracks.
func (t Traffic) Send(ctx context.Context, s Sender) error {
	random := rand.New(rand.NewPCG(t.Seed, 11))
	var series []*served
	for track, n := range map[string]int{"canary": canaries, "stable": stables} {
		for pod := range n {
			for _, route := range routes {
				series = append(series, &served{track: track, pod: fmt.Sprintf("%s-%s-%d", t.Service, track, pod), route: route,
					counts: map[int][]uint64{200: make([]uint64, len(bounds)+1), 500: make([]uint64, len(bounds)+1)}, sums: map[int]float64{}})
			}
		}
	}
	begin := t.Start.Add(-t.History)
	for at := begin; !at.After(t.End); at = at.Add(scrape) {
		for _, one := range series {
			t.serve(random, one, at)
		}
		if err := s.Metrics(ctx, t.metrics(series, begin, at)); err != nil {
			return err
		}
	}
	return s.Traces(ctx, t.traces(random))
}

type served struct {
	track, pod, route string
	counts            map[int][]uint64
	sums              map[int]float64
}

// serve adds the requests of one interval.
func (t Traffic) serve(random *rand.Rand, one *served, at time.Time) {
	share, pods := 1-t.Weight, float64(stables)
	errors := t.ErrorsStable
	if at.Before(t.Start) {
		share = 1
	}
	if one.track == "canary" {
		if at.Before(t.Start) {
			return
		}
		share, pods = t.Weight, canaries
		if one.route == routes[2] {
			errors = t.ErrorsCanary
		}
	}
	want := t.Rate * share * scrape.Seconds() / pods / float64(len(routes))
	n := int(math.Round(want + random.NormFloat64()*math.Sqrt(want)))
	for range max(n, 0) {
		code := 200
		if random.Float64() < errors {
			code = 500
		}
		seconds := math.Exp(math.Log(0.045) + random.NormFloat64()*0.55)
		i := 0
		for i < len(bounds) && seconds > bounds[i] {
			i++
		}
		one.counts[code][i]++
		one.sums[code] += seconds
	}
}

func (t Traffic) metrics(series []*served, begin, at time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, one := range series {
		if one.track == "canary" && at.Before(t.Start) {
			continue
		}
		version := t.Stable
		start := begin
		if one.track == "canary" {
			version, start = t.Canary, t.Start
		}
		rm := md.ResourceMetrics().AppendEmpty()
		put(rm.Resource().Attributes(), map[string]any{
			"service.name": t.Service, "service.version": version, "deployment.track": one.track, "k8s.pod.name": one.pod, "service.instance.id": one.pod + one.route,
		})
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("http.server.request.duration")
		m.SetUnit("s")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for code, counts := range one.counts {
			p := h.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(-scrape)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(at))
			p.Attributes().PutStr("http.route", path(one.route))
			p.Attributes().PutInt("http.response.status_code", int64(code))
			p.ExplicitBounds().FromRaw(bounds)
			p.BucketCounts().FromRaw(counts)
			total := uint64(0)
			for _, n := range counts {
				total += n
			}
			p.SetCount(total)
			p.SetSum(one.sums[code])
		}
	}
	return md
}

// traces are requests of both tracks, the failed ones with an exception.
func (t Traffic) traces(random *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	add := func(track, version string, n, failing int) {
		rs := td.ResourceSpans().AppendEmpty()
		put(rs.Resource().Attributes(), map[string]any{"service.name": t.Service, "service.version": version, "deployment.track": track})
		ss := rs.ScopeSpans().AppendEmpty()
		for i := range n {
			var id [16]byte
			for j := range id {
				id[j] = byte(random.UintN(256))
			}
			at := t.Start.Add(time.Duration(random.Float64() * float64(t.End.Sub(t.Start))))
			route := routes[random.IntN(len(routes))]
			failed := i < failing
			if failed {
				route = routes[2]
			}
			root, query := ss.Spans().AppendEmpty(), ss.Spans().AppendEmpty()
			for k, span := range []ptrace.Span{root, query} {
				span.SetTraceID(id)
				span.SetSpanID(pcommon.SpanID{id[0], id[1], id[2], id[3], 1, 1, 1, byte(k + 1)})
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(k) * time.Millisecond)))
				span.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(40+random.IntN(60)) * time.Millisecond)))
			}
			root.SetName(route)
			root.SetKind(ptrace.SpanKindServer)
			root.Attributes().PutStr("http.route", path(route))
			root.Attributes().PutStr("app.region", []string{"eu-west", "eu-north", "us-east"}[random.IntN(3)])
			query.SetParentSpanID(root.SpanID())
			query.SetName("INSERT orders")
			query.SetKind(ptrace.SpanKindClient)
			if !failed {
				root.Attributes().PutInt("http.response.status_code", 200)
				continue
			}
			root.Attributes().PutInt("http.response.status_code", 500)
			root.Attributes().PutStr("app.payment.provider", "newpay")
			root.Status().SetCode(ptrace.StatusCodeError)
			query.Status().SetCode(ptrace.StatusCodeError)
			e := query.Events().AppendEmpty()
			e.SetName("exception")
			e.SetTimestamp(query.EndTimestamp())
			e.Attributes().PutStr("exception.type", "pq.Error")
			e.Attributes().PutStr("exception.message", fmt.Sprintf("null value in column \"currency\" of relation \"orders\", row %d", random.IntN(1e6)))
		}
	}
	failing := 0
	if t.ErrorsCanary > t.ErrorsStable {
		failing = 26
	}
	add("canary", t.Canary, 120, failing)
	add("stable", t.Stable, 300, 0)
	return td
}

// Judge asks the server for its verdict on the traffic, as a rollout does.
func (t Traffic) Judge(ctx context.Context, server, token string) (rollout.Decision, string, json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{
		"service": t.Service, "versions": map[string]string{"canary": t.Canary, "stable": t.Stable}, "weight": t.Weight * 100,
		"start": t.Start.UTC().Format(time.RFC3339), "gate": "10m",
	})
	if err != nil {
		return "", "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/api/v1/judge", bytes.NewReader(body))
	if err != nil {
		return "", "", nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", "", nil, fmt.Errorf("judge: %s %s %w", resp.Status, answer, err)
	}
	var v struct {
		analysis.Verdict
		Explanation json.RawMessage `json:"explanation"`
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		return "", "", nil, err
	}
	return rollout.Decision(v.Decision), string(v.Reason), answer, nil
}

// Record is the rollout of the traffic at an instant.
func (t Traffic) Record(id string, at time.Time, phase rollout.Phase, step int, decision rollout.Decision, reason string, verdict json.RawMessage) rollout.Record {
	steps := []rollout.RecordStep{{Weight: 5, Gate: "10m0s"}, {Weight: 25, Gate: "10m0s"}, {Weight: 50, Gate: "15m0s", Approval: true}, {Weight: 100}}
	weight := steps[step].Weight
	r := rollout.Record{
		ID: id, At: at, Cluster: "prod-eu", Namespace: "shop", Name: t.Service, Service: t.Service, CanaryVersion: t.Canary, StableVersion: t.Stable,
		Driver: "controller", Phase: phase, Steps: steps, Step: step, Weight: weight, WeightObserved: &weight, Started: t.Start, GateStarted: t.Start,
		PhaseStarted: t.Start, Deadline: t.Start.Add(2 * time.Hour), Decision: decision, DecisionReason: reason, Verdict: verdict,
	}
	var v struct {
		Message     string             `json:"message"`
		Evidence    *analysis.Evidence `json:"evidence"`
		Explanation json.RawMessage    `json:"explanation"`
	}
	if json.Unmarshal(verdict, &v) == nil {
		r.Message, r.Explanation = v.Message, v.Explanation
		if v.Evidence != nil {
			share := v.Evidence.TrafficShare
			r.TrafficShare = &share
		}
	}
	switch phase {
	case rollout.PhaseRolledBack:
		zero := 0
		r.Reason, r.Ended, r.Weight, r.WeightObserved = rollout.ReasonAnalysis, at, 0, &zero
	case rollout.PhaseSucceeded:
		r.Reason, r.Ended = rollout.ReasonPromoted, at
	case rollout.PhaseProgressing:
		r.Reason = rollout.ReasonGate
	}
	return r
}
