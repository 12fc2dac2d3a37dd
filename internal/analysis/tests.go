package analysis

import (
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// The sizes of effects that are bet on, as factors of the margin's bound. Errors
// range over decades (a base rate of 0.01 % can become 50 %), tails and
// conversions do not. A size too many costs ln((J+1)/J) nats; a gap costs more.
var (
	errorLifts    = []float64{1.07, 1.2, 1.4, 1.8, 2.5, 5, 15, 60, 300}
	latencyLifts  = []float64{1.1, 1.25, 1.6, 2.5, 5, 15}
	businessLifts = []float64{1.06, 1.12, 1.25, 1.6, 3, 10}
)

// defaultWeights split alpha. Errors are what most rollbacks are for; routes
// share their metric's weight among one another. Checks that are not configured
// leave theirs to the others, checks that cannot be tested keep it unspent.
var defaultWeights = map[string]float64{
	MetricErrorRate: 0.30, MetricErrorRate + routesSuffix: 0.25,
	"p50_latency": 0.05,
	"p90_latency": 0.05,
	"p95_latency": 0.08, "p95_latency" + routesSuffix: 0.05,
	"p99_latency": 0.12, "p99_latency" + routesSuffix: 0.15,
	"p999_latency": 0.05, "p999_latency" + routesSuffix: 0.03,
}

// businessWeight is each business check's, of two at most; more share it.
const businessWeight = 0.05

// kind is what a test counts.
type kind uint8

const (
	kindErrors kind = iota
	kindLatency
	kindRatio // business: events of exposures
	kindMean  // business: a sum per exposure
)

// test is one comparison: a metric, of one row or of all together (row -1).
type test struct {
	metric   string
	kind     kind
	row      int
	slow     int // index of the latency metric
	business *Business
	weight   float64
	lifts    []float64
}

// testState is what samples have made of a test.
type testState struct {
	Mix  sequential.Mixture  `json:"mix"`
	Disc sequential.Discount `json:"disc"`
	Step sequential.Counts   `json:"step"`
	Mean *meanState          `json:"mean,omitempty"`
}

// e is the test's e-value now.
func (s *testState) e() float64 {
	if len(s.Mix.Logs) == 0 {
		return 1
	}
	return s.Mix.EOver(s.Disc.Log())
}

// slowMetric is a configured latency quantile.
type slowMetric struct {
	name   string
	q      float64
	margin float64
	routes bool // also judged per route
}

// minUnits is how many requests make a quantile worth a statement: the size of a
// sample of which 95 % contain something beyond the quantile (field experience:
// 299 for p99, 2,995 for p999).
func (m slowMetric) minUnits() float64 { return quantileSample(m.q) }

func (j *Judge) prepareLatency() {
	j.slow = slowMetrics(&j.cfg)
	j.bounds = make([][]rowBound, len(j.slow))
	for q := range j.slow {
		j.bounds[q] = make([]rowBound, len(j.rows))
		for r := range j.bounds[q] {
			b := &j.bounds[q][r]
			if len(j.frozen.Routes[r].Bounds[j.slow[q].name]) > 0 {
				b.State = boundOpen
				j.open = true
			} else {
				b.Why = "stable's history has too few requests above any bound near this quantile, or its buckets are too coarse"
			}
		}
	}
}

// slowMetrics are the latency checks of a configuration.
func slowMetrics(c *Config) []slowMetric {
	var out []slowMetric
	for _, q := range c.Latency.Quantiles {
		m := slowMetric{name: LatencyMetric(q), q: q, margin: c.Latency.Margin}
		if q > 0.99 {
			m.margin = c.Latency.TailMargin
		}
		_, m.routes = defaultWeights[m.name+routesSuffix]
		out = append(out, m)
	}
	return out
}

// prepareTests lists the tests and shares alpha out among them.
func (j *Judge) prepareTests() {
	routes := len(j.rows)
	if routes == 1 {
		routes = 0 // all routes are "other": the aggregate says it all
	}
	add := func(t test, sizes int) {
		j.tests = append(j.tests, t)
		s := testState{}
		if sizes > 0 {
			s.Mix = sequential.NewMixture(sizes)
		}
		if t.kind == kindMean {
			s.Mean = &meanState{}
		}
		j.st.Tests = append(j.st.Tests, s)
	}
	add(test{metric: MetricErrorRate, row: -1, lifts: errorLifts}, len(errorLifts))
	for q, m := range j.slow {
		add(test{metric: m.name, kind: kindLatency, row: -1, slow: q, lifts: latencyLifts}, len(latencyLifts))
	}
	for i := range j.cfg.Business {
		b := &j.cfg.Business[i]
		if b.Sum != "" {
			add(test{metric: b.Name, kind: kindMean, row: -1, business: b}, 0)
		} else {
			add(test{metric: b.Name, kind: kindRatio, row: -1, business: b, lifts: businessLifts}, len(businessLifts))
		}
	}
	for r := range routes {
		add(test{metric: MetricErrorRate, row: r, lifts: errorLifts}, len(errorLifts))
	}
	for q, m := range j.slow {
		for r := range routes {
			if m.routes {
				add(test{metric: m.name, kind: kindLatency, row: r, slow: q, lifts: latencyLifts}, len(latencyLifts))
			}
		}
	}
	j.weigh(routes)
	j.st.Agreement = make([]float64, len(j.tests))
	for i := range j.st.Agreement {
		j.st.Agreement[i] = 1
	}
	j.st.LeaveOut = []leaveOut{newLeaveOut(len(errorLifts))}
	for range j.slow {
		j.st.LeaveOut = append(j.st.LeaveOut, newLeaveOut(len(latencyLifts)))
	}
	j.st.Peers = make([]peers, len(j.st.LeaveOut))
	j.st.NI = sequential.NewNonInferiority()
	j.st.Rates = make([]rate, len(j.rows))
	j.st.Rate = rate{}
	for r, f := range j.frozen.Routes {
		j.st.Rates[r] = j.priorRate(f.Errors, f.Requests)
		j.st.Rate.K += j.st.Rates[r].K
		j.st.Rate.N += j.st.Rates[r].N
	}
}

// weigh sets the tests' weights: what the user set, and the defaults scaled to
// fill the rest of 1.
func (j *Judge) weigh(routes int) {
	name := func(t *test) string {
		if t.row >= 0 {
			return t.metric + routesSuffix
		}
		return t.metric
	}
	fallback := func(n string) float64 {
		if w, ok := defaultWeights[n]; ok {
			return w
		}
		if strings.HasSuffix(n, routesSuffix) {
			return 0
		}
		return businessWeight * min(1, 2/float64(len(j.cfg.Business)))
	}
	set, rest := 0.0, 0.0
	seen := map[string]bool{}
	for i := range j.tests {
		n := name(&j.tests[i])
		if seen[n] {
			continue
		}
		seen[n] = true
		if w, ok := j.cfg.Weights[n]; ok {
			set += w
		} else {
			rest += fallback(n)
		}
	}
	for i := range j.tests {
		t := &j.tests[i]
		n := name(t)
		w, ok := j.cfg.Weights[n]
		if !ok {
			w = fallback(n) * (1 - set) / rest
		}
		if t.row >= 0 {
			w /= float64(routes)
		}
		t.weight = w
	}
}

// rate predicts an event rate from counts that fade.
type rate struct {
	K float64 `json:"k"`
	N float64 `json:"n"`
}

const (
	// rateHalfLife is how fast the prediction of stable's error rate forgets:
	// fast enough for an incident, slow enough for a rare error.
	rateHalfLife = 5 * time.Minute
	// historyWorth is how much of the history's counts the prediction starts with.
	historyWorth = 10 * time.Minute
	// unknownRate is what is expected of a service without history.
	unknownRate = 0.01
)

// priorRate is what the history says of a row's error rate, worth ten minutes.
func (j *Judge) priorRate(errors, requests float64) rate {
	h := j.frozen.To.Sub(j.frozen.From)
	if h <= 0 {
		return rate{}
	}
	f := min(1, historyWorth.Seconds()/h.Seconds())
	return rate{errors * f, requests * f}
}

// value is the predicted rate, drawn to the service's.
func (r rate) value(pool float64) float64 { return (r.K + 1) / (r.N + 1/pool) }

func (r *rate) fade(f, k, n float64) { r.K, r.N = f*r.K+k, f*r.N+n }

// pool is stable's error rate over the history.
func (j *Judge) pool() float64 {
	if j.frozen.Pool > 0 {
		return j.frozen.Pool
	}
	return unknownRate
}

// warmUp is how long latency tests rest after a step: caches fill.
func (j *Judge) warmUp() time.Duration {
	return min(time.Duration(j.cfg.WarmUp), time.Duration(j.st.Step.Gate)/5)
}
