package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// load sends each request to all subjects, who take turns at being first: a
// busy moment of the machine hits all of them, and each gets the same bytes.
func load(ctx context.Context, subjects []*subject, end time.Time, series, rounds int) (samples int, err error) {
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
			for i := range subjects {
				s := subjects[(i+round+from/instancesAtOnce)%len(subjects)]
				if err := send(ctx, client, s.otlp, body); err != nil {
					return 0, fmt.Errorf("%s: %w", s.name, err)
				}
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

// question is a query of the comparison dashboard.
type question struct{ name, expr string }

func questions() []question {
	canary := `service_name="checkout-service",deployment_track="canary"`
	return []question{
		{"error rate", `sum(rate(http_server_request_errors_total{` + canary + `}[5m])) / sum(rate(http_server_request_total{` + canary + `}[5m]))`},
		{"p99", `histogram_quantile(0.99, sum(rate(http_server_request_duration_bucket{` + canary + `}[5m])) by (le))`},
		{"traffic split", `sum by (deployment_track) (rate(http_server_request_total{service_name="checkout-service"}[5m]))`},
	}
}

// unmeasured is how often each question is asked before the clock counts.
const unmeasured = 5

// ask times each question n times on each subject, turn about, and returns the
// medians in milliseconds, by subject and question. Differing answers are an error.
func ask(ctx context.Context, subjects []*subject, at time.Time, n int) ([][]float64, error) {
	all := questions()
	took := make([][][]float64, len(subjects))
	answers := make([][]string, len(subjects))
	for i := range subjects {
		took[i], answers[i] = make([][]float64, len(all)), make([]string, len(all))
	}
	for round := range n + unmeasured {
		for q, question := range all {
			for k := range subjects {
				i := (k + round + q) % len(subjects)
				began := time.Now()
				value, err := query(ctx, subjects[i].api, question.expr, at)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", subjects[i].name, err)
				}
				if round >= unmeasured {
					took[i][q] = append(took[i][q], float64(time.Since(began).Microseconds())/1000)
				}
				answers[i][q] = value
			}
		}
	}
	medians := make([][]float64, len(subjects))
	for i := range subjects {
		for q := range all {
			medians[i] = append(medians[i], median(took[i][q]))
			if answers[i][q] != answers[0][q] {
				return nil, fmt.Errorf("%s: %s answers %s, %s %s", all[q].name, subjects[0].name, answers[0][q], subjects[i].name, answers[i][q])
			}
		}
	}
	return medians, nil
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
