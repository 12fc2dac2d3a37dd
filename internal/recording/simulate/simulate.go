// Package simulate draws the samples of a rollout from a seed: recordings for
// tests, benchmarks and the example, whose truth is known.
package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/prom"
)

// Options describe the traffic. The zero value of a field is its default.
type Options struct {
	Seed    uint64
	Start   time.Time     // of the rollout, default 2026-03-01 12:00 UTC
	History time.Duration // of the stable track before it, default 1h
	Scrape  time.Duration // default 15s
	Rate    float64       // requests per second of both tracks together, default 100
	Routes  int           // default 20, Zipf
	Pods    int           // stable pods, default 20
	Errors  float64       // share of failed requests, default 0.001
	Steps   []Step        // default 5 % 10m, 25 % 10m, 50 % 15m
	Fault   Fault
	// Change is called for every sample of the series it likes; it returns the
	// value that is recorded, and false to leave the sample out.
	Change func(l labels.Labels, at time.Time, v float64) (float64, bool)
}

// Step is a stretch of time with a weight (0..1) and a number of canary pods.
type Step struct {
	Weight float64
	Length time.Duration
	Pods   int
}

// Fault is what is wrong with the canary on one route (-1: on all) from After
// on.
type Fault struct {
	Route     int
	Errors    float64 // added share of failed requests
	Latency   float64 // factor of all latencies; 0 is 1
	OrderLoss float64 // share of orders lost
	After     time.Duration
}

// Bounds are the bucket bounds of the semantic conventions, in seconds.
var Bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, math.Inf(1)}

func (o Options) withDefaults() Options {
	def := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	if o.History == 0 {
		o.History = time.Hour
	}
	if o.Scrape == 0 {
		o.Scrape = 15 * time.Second
	}
	def(&o.Rate, 100)
	def(&o.Errors, 0.001)
	def(&o.Fault.Latency, 1)
	if o.Routes == 0 {
		o.Routes = 20
	}
	if o.Pods == 0 {
		o.Pods = 20
	}
	if o.Steps == nil {
		o.Steps = []Step{{0.05, 10 * time.Minute, 1}, {0.25, 10 * time.Minute, 5}, {0.50, 15 * time.Minute, 10}}
	}
	return o
}

// Rollout draws all series: requests, buckets and sums per route, status and
// pod as the conventions name them, and checkout_sessions_total and
// checkout_orders_total per pod.
func Rollout(o Options) []prom.Series {
	o = o.withDefaults()
	s := &simulation{o: o, rng: rand.New(rand.NewPCG(o.Seed, 2)), index: map[string]int{}}
	total := 0.0
	for r := range o.Routes {
		s.share = append(s.share, 1/float64(r+1))
		total += s.share[r]
		s.median = append(s.median, 0.02*math.Exp(0.8*s.rng.NormFloat64()))
	}
	for r := range s.share {
		s.share[r] /= total
	}
	for i := range o.Pods {
		s.stable = append(s.stable, s.newPod("1.0.0", "stable", i))
	}
	for at := o.Start.Add(-o.History); at.Before(o.Start); at = at.Add(o.Scrape) {
		s.scrape(at, 0)
	}
	at := o.Start
	for _, step := range o.Steps {
		pods := max(step.Pods, 1)
		for len(s.canary) < pods {
			s.canary = append(s.canary, s.newPod("2.0.0", "canary", len(s.canary)))
		}
		for end := at.Add(step.Length); at.Before(end); at = at.Add(o.Scrape) {
			s.scrape(at, step.Weight)
		}
	}
	s.scrape(at, 0) // the last scrape shows the last interval
	return s.series
}

type simulation struct {
	o              Options
	rng            *rand.Rand
	share, median  []float64
	stable, canary []*pod
	series         []prom.Series
	index          map[string]int
}

type pod struct {
	version, track, name string
	offset               time.Duration // of its scrapes
	routes               map[int]*[2]counts
	sessions, orders     float64
}

// counts are a route's of one status.
type counts struct {
	n, sum  float64
	buckets [15]float64
}

func (s *simulation) newPod(version, track string, i int) *pod {
	return &pod{version: version, track: track, name: fmt.Sprintf("shop-%s-%d", track, i), routes: map[int]*[2]counts{},
		offset: time.Duration(s.rng.Int64N(int64(s.o.Scrape)*9/10)) / time.Millisecond * time.Millisecond}
}

// scrape records all pods, then serves one interval's requests.
func (s *simulation) scrape(at time.Time, weight float64) {
	for _, p := range s.stable {
		s.record(p, at)
	}
	for _, p := range s.canary {
		s.record(p, at)
	}
	n := s.o.Rate * s.o.Scrape.Seconds()
	for r, share := range s.share {
		s.serve(s.stable, r, n*share*(1-weight), false)
		if weight > 0 {
			late := at.Sub(s.o.Start) >= s.o.Fault.After
			s.serve(s.canary, r, n*share*weight, late && (s.o.Fault.Route == r || s.o.Fault.Route < 0))
		}
	}
}

// serve spreads about n requests of a route over pods.
func (s *simulation) serve(pods []*pod, route int, n float64, faulty bool) {
	failing, factor, loss := s.o.Errors, 1.0, 0.0
	if faulty {
		failing, factor, loss = failing+s.o.Fault.Errors, s.o.Fault.Latency, s.o.Fault.OrderLoss
	}
	for range s.poisson(n) {
		p := pods[s.rng.IntN(len(pods))]
		c := p.routes[route]
		if c == nil {
			c = &[2]counts{}
			p.routes[route] = c
		}
		status := 0
		if s.rng.Float64() < failing {
			status = 1
		}
		d := s.median[route] * math.Exp(0.4*s.rng.NormFloat64()) * factor
		if s.rng.Float64() < 0.01 {
			d *= 6
		}
		one := &c[status]
		one.n++
		one.sum += d
		for i := len(Bounds) - 1; i >= 0 && d <= Bounds[i]; i-- {
			one.buckets[i]++
		}
		if s.rng.Float64() < 0.1 {
			p.sessions++
			if status == 0 && s.rng.Float64() < 0.2 && s.rng.Float64() >= loss {
				p.orders++
			}
		}
	}
}

func (s *simulation) poisson(mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64())))
	}
	limit, n, p := math.Exp(-mean), 0, s.rng.Float64()
	for p > limit {
		n++
		p *= s.rng.Float64()
	}
	return n
}

// record writes a pod's counters as they are at its scrape.
func (s *simulation) record(p *pod, at time.Time) {
	at = at.Add(p.offset)
	pairs := []string{"service_name", "shop", "service_version", p.version, "deployment_track", p.track, "k8s_pod_name", p.name}
	for r := range s.share {
		c := p.routes[r]
		if c == nil {
			continue
		}
		for status, code := range []string{"200", "500"} {
			one := &c[status]
			if one.n == 0 {
				continue
			}
			more := []string{"http_route", fmt.Sprintf("/route/%02d", r), "http_response_status_code", code}
			const name = "http_server_request_duration_seconds"
			for i, bound := range Bounds {
				le := "+Inf"
				if !math.IsInf(bound, 1) { // as OpenMetrics writes it: 1.0, not 1
					if le = fmt.Sprint(bound); bound == math.Trunc(bound) {
						le += ".0"
					}
				}
				s.add(at, one.buckets[i], name+"_bucket", pairs, more, "le", le)
			}
			s.add(at, one.n, name+"_count", pairs, more)
			s.add(at, one.sum, name+"_sum", pairs, more)
		}
	}
	s.add(at, p.sessions, "checkout_sessions_total", pairs, nil)
	s.add(at, p.orders, "checkout_orders_total", pairs, nil)
}

func (s *simulation) add(at time.Time, v float64, name string, pairs, more []string, last ...string) {
	key := name + pairs[7] + fmt.Sprint(more, last)
	i, ok := s.index[key]
	if !ok {
		all := append([]string{labels.MetricName, name}, pairs...)
		all = append(append(all, more...), last...)
		i = len(s.series)
		s.series = append(s.series, prom.Series{Labels: labels.FromStrings(all...)})
		s.index[key] = i
	}
	if s.o.Change != nil {
		if v, ok = s.o.Change(s.series[i].Labels, at, v); !ok {
			return
		}
	}
	s.series[i].Points = append(s.series[i].Points, prom.Point{T: at.UnixMilli(), V: v})
}
