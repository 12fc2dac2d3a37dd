package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// The load is instances of services with ten routes each; a route has a
// request counter, an error counter and a latency histogram.
const (
	routes          = 10
	instancesAtOnce = 10 // in one request
	interval        = 15 * time.Second
)

var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// seriesPerRoute: two counters, the buckets with +Inf, count and sum.
var seriesPerRoute = 2 + len(bounds) + 3

func load(ctx context.Context, address string, end time.Time, series, rounds int) (samples int, err error) {
	instances := max(series/(routes*seriesPerRoute), 1)
	client := &http.Client{Timeout: time.Minute}
	first := end.Add(-time.Duration(rounds) * interval)
	for round := 1; round <= rounds; round++ {
		at := first.Add(time.Duration(round) * interval)
		for from := 0; from < instances; from += instancesAtOnce {
			md := pmetric.NewMetrics()
			for i := from; i < min(from+instancesAtOnce, instances); i++ {
				instance(md, i, round, first, at)
				samples += routes * seriesPerRoute
			}
			body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
			if err != nil {
				return 0, err
			}
			if err := send(ctx, client, address, body); err != nil {
				return 0, err
			}
		}
	}
	return samples, nil
}

func send(ctx context.Context, client *http.Client, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || len(answer) > 2 {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}

func instance(md pmetric.Metrics, i, round int, first, at time.Time) {
	rm := md.ResourceMetrics().AppendEmpty()
	a := rm.Resource().Attributes()
	service, track, version := "checkout-service", "stable", "1.0.0"
	if i%2 == 1 {
		service = "service-" + strconv.Itoa(i%17)
	}
	if i%4 == 0 {
		track, version = "canary", "1.1.0"
	}
	a.PutStr("service.name", service)
	a.PutStr("service.version", version)
	a.PutStr("deployment.track", track)
	a.PutStr("service.instance.id", "pod-"+strconv.Itoa(i))
	a.PutStr("k8s.namespace.name", "shop")
	sm := rm.ScopeMetrics().AppendEmpty()
	counter := func(name string) pmetric.NumberDataPointSlice {
		m := sm.Metrics().AppendEmpty()
		m.SetName(name)
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		return s.DataPoints()
	}
	requests, failures := counter("http.server.request"), counter("http.server.request.errors")
	m := sm.Metrics().AppendEmpty()
	m.SetName("http.server.request.duration")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	start, now := pcommon.NewTimestampFromTime(first), pcommon.NewTimestampFromTime(at)
	for r := range routes {
		route := "/r/" + strconv.Itoa(r)
		add := func(points pmetric.NumberDataPointSlice, each int) {
			p := points.AppendEmpty()
			p.SetStartTimestamp(start)
			p.SetTimestamp(now)
			p.SetDoubleValue(float64(each * round))
			p.Attributes().PutStr("http.route", route)
		}
		add(requests, 150)
		add(failures, 1+r%3)
		p := h.DataPoints().AppendEmpty()
		p.SetStartTimestamp(start)
		p.SetTimestamp(now)
		p.SetCount(uint64(10 * (len(bounds) + 1) * round))
		p.SetSum(float64(12 * round))
		p.ExplicitBounds().FromRaw(bounds)
		buckets := make([]uint64, len(bounds)+1)
		for b := range buckets {
			buckets[b] = uint64(10 * round)
		}
		p.BucketCounts().FromRaw(buckets)
		p.Attributes().PutStr("http.route", route)
	}
}

// latency is what one query took, each time, and its last answer.
type latency struct {
	name, expr string
	ms         []float64
	value      string
}

func (l *latency) median() float64 {
	sort.Float64s(l.ms)
	return l.ms[len(l.ms)/2]
}

// newLatencies returns the queries of the comparison dashboard.
func newLatencies() []*latency {
	canary := `service_name="checkout-service",deployment_track="canary"`
	return []*latency{
		{name: "error rate", expr: `sum(rate(http_server_request_errors_total{` + canary + `}[5m])) / sum(rate(http_server_request_total{` + canary + `}[5m]))`},
		{name: "p99", expr: `histogram_quantile(0.99, sum(rate(http_server_request_duration_bucket{` + canary + `}[5m])) by (le))`},
		{name: "traffic split", expr: `sum by (deployment_track) (rate(http_server_request_total{service_name="checkout-service"}[5m]))`},
	}
}

// ask times each query once.
func (r *result) ask(ctx context.Context, at time.Time) error {
	for _, l := range r.latency {
		began := time.Now()
		value, err := query(ctx, r.api, l.expr, at)
		if err != nil {
			return err
		}
		l.ms = append(l.ms, float64(time.Since(began).Microseconds())/1000)
		l.value = value
	}
	return nil
}

func query(ctx context.Context, base, expr string, at time.Time) (string, error) {
	v := url.Values{"query": {expr}, "time": {strconv.FormatInt(at.Unix(), 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/query?"+v.Encode(), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Status string
		Error  string
		Data   struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if answer.Status != "success" || len(answer.Data.Result) == 0 {
		return "", fmt.Errorf("%s: %s %s: no result", expr, answer.Status, answer.Error)
	}
	var sum float64 // the order of the series, and of additions, is not fixed
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return "", err
		}
		sum += v
	}
	return strconv.FormatFloat(sum, 'g', 9, 64), nil
}
