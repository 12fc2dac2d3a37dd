package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// minExceedances is how many requests of the history must lie above a bound.
	minExceedances = 5
	// boundFactor is how far a bound's tail may be from the quantile's: a tail of
	// 0.3 % to 4 % still speaks for p99.
	boundFactor = 4
	// nearBounds and allBounds are how many candidates are kept per quantile: the
	// nearest, and beyond them those that a coarser native schema shares.
	nearBounds = 3
	allBounds  = 6
	// minRatio and maxRatio clamp the ratio of tails that a latency margin
	// amounts to, as interpolation between two bounds can be far off.
	minRatio = 1.05
	maxRatio = 3
)

// Freeze chooses everything that must not depend on the canary: which routes
// are told apart, the latency bounds and what the margins mean there, the
// expected error rates, and how noisy groups of stable pods are. A History
// without intervals gives parameters with which only the aggregate error rate
// and business metrics can be judged; Frozen.Fallback says so.
func Freeze(cfg Config, h History) (Frozen, error) {
	if err := cfg.Validate(); err != nil {
		return Frozen{}, err
	}
	f := Frozen{SchemaVersion: SchemaVersion, ErrorsEverSeen: h.ErrorsEverSeen}
	if h.Intervals == nil {
		h.Intervals = func(func(*Interval) bool) {}
	}
	past, err := readPast(h, &f)
	if err != nil {
		return Frozen{}, err
	}
	past.choose(&cfg, &f)
	past.pods(&cfg, &f, h).finish(&cfg, &f, h.CanaryPods)
	return f, nil
}

// Sums is a history that somebody has summed already.
type Sums struct {
	From, To time.Time
	Routes   []RouteSums
	// Units are requests, per interval and pod.
	Units [][]float64
	// Events are, per metric, its events per interval and pod: errors of
	// error_rate, requests above the first bound of each route for latencies.
	Events         map[string][][]float64
	ErrorsEverSeen bool
	CanaryPods     []int
}

// RouteSums is a route's whole history.
type RouteSums struct {
	Route            string
	Requests, Errors float64
	Latency          Histogram
}

// FreezeSums is Freeze of a summed history.
func FreezeSums(cfg Config, h Sums) (Frozen, error) {
	if err := cfg.Validate(); err != nil {
		return Frozen{}, err
	}
	f := Frozen{SchemaVersion: SchemaVersion, From: h.From, To: h.To, ErrorsEverSeen: h.ErrorsEverSeen}
	p := &past{byRoute: map[string]*pastRoute{}}
	for _, r := range h.Routes {
		p.byRoute[r.Route] = &pastRoute{requests: r.Requests, errors: r.Errors, latency: r.Latency}
	}
	p.choose(&cfg, &f)
	e := &podEvents{units: h.Units, of: h.Events, base: map[string]podBase{}}
	if len(h.Units) > 0 {
		for i := range h.Units[0] {
			e.names = append(e.names, fmt.Sprint(i))
		}
	}
	units := 0.0
	for _, u := range h.Units {
		units += sumOf(u)
	}
	for name, events := range h.Events {
		n := 0.0
		for _, u := range events {
			n += sumOf(u)
		}
		e.setBase(&cfg, &f, name, n, units)
	}
	e.finish(&cfg, &f, h.CanaryPods)
	return f, nil
}

// choose picks routes and bounds.
func (p *past) choose(cfg *Config, f *Frozen) {
	p.routes(cfg, f)
	for i := range f.Routes {
		p.bounds(cfg, &f.Routes[i])
	}
}

// finish measures the guard and says how far it can be trusted.
func (e *podEvents) finish(cfg *Config, f *Frozen, canaryPods []int) {
	f.Pods = len(e.names)
	switch length := f.To.Sub(f.From); {
	case length <= 0:
		f.Fallback = "there is no history of the stable track"
	case length < guardHistory-time.Duration(cfg.ScrapeInterval):
		f.Fallback = fmt.Sprintf("the stable track's history is %s long, 1h is wanted", Duration(length.Round(time.Second)))
	case f.Pods < guardPods:
		f.Fallback = fmt.Sprintf("the stable track has %d pods, %d are wanted to tell noise from harm", f.Pods, guardPods)
	}
	if n := len(e.units); n > 0 {
		e.seconds = math.Max(1, f.To.Sub(f.From).Seconds()/float64(n))
	}
	e.measure(cfg, f, canaryPods)
}

// past is the stable track's history, summed per route.
type past struct {
	byRoute map[string]*pastRoute
}

type pastRoute struct {
	requests, errors float64
	latency          Histogram
	mixed            bool // its histograms have layouts without common bounds
}

func readPast(h History, f *Frozen) (*past, error) {
	p := &past{byRoute: map[string]*pastRoute{}}
	var last time.Time
	for iv := range h.Intervals {
		if err := checkInterval(iv, last); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		last = iv.End
		if f.From.IsZero() {
			f.From = iv.Start
		}
		f.To = iv.End
		for i := range iv.Cells {
			c := &iv.Cells[i]
			if c.Track != Stable {
				continue
			}
			r := p.byRoute[c.Route]
			if r == nil {
				r = &pastRoute{}
				p.byRoute[c.Route] = r
			}
			r.requests += c.Requests
			r.errors += c.Errors
			f.ErrorsEverSeen = f.ErrorsEverSeen || c.HasErrors
			if !r.latency.Add(&c.Latency) {
				r.mixed = true
			}
		}
	}
	return p, nil
}

// routes picks the routes with most traffic; the rest, and all that are new, are
// "other", which is always last.
func (p *past) routes(cfg *Config, f *Frozen) {
	var names []string
	var requests, errors float64
	for name, r := range p.byRoute {
		requests += r.requests
		errors += r.errors
		if cfg.Routes.Label != "" && name != OtherRoute && name != "" && r.requests > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.byRoute[b].requests, p.byRoute[a].requests), cmp.Compare(a, b))
	})
	if len(names) > cfg.Routes.Max {
		names = names[:cfg.Routes.Max]
	}
	other := &pastRoute{}
	for name, r := range p.byRoute {
		if !slices.Contains(names, name) {
			other.requests += r.requests
			other.errors += r.errors
			other.mixed = !other.latency.Add(&r.latency) || other.mixed || r.mixed
		}
	}
	p.byRoute[OtherRoute] = other
	for _, name := range append(names, OtherRoute) {
		r := p.byRoute[name]
		f.Routes = append(f.Routes, FrozenRoute{Route: name, Requests: r.requests, Errors: r.errors})
	}
	if requests >= float64(cfg.MinRequests) {
		f.Pool = (errors + 0.5) / (requests + 1)
	}
	if s := f.To.Sub(f.From).Seconds(); s > 0 {
		f.RequestRate = requests / s
	}
}

// bounds lists, per latency quantile, the bounds at which the route's tails can
// be compared.
func (p *past) bounds(cfg *Config, r *FrozenRoute) {
	src := p.byRoute[r.Route]
	if src.mixed || src.latency.Empty() {
		return
	}
	r.Bounds = map[string][]LatencyBound{}
	for _, m := range slowMetrics(cfg) {
		if c := boundCandidates(&src.latency, m); len(c) > 0 {
			r.Bounds[m.name] = c
		}
	}
}

func boundCandidates(h *Histogram, m slowMetric) []LatencyBound {
	total := h.Total()
	type candidate struct {
		i, distance float64
		b           LatencyBound
	}
	var found []candidate
	above := total - h.Zero
	for i, c := range h.Counts {
		above -= c
		if above < minExceedances {
			break
		}
		up := h.upper(i)
		if math.IsInf(up, 1) {
			break
		}
		d := math.Abs(math.Log(above / total / (1 - m.q)))
		if d <= math.Log(boundFactor) {
			found = append(found, candidate{float64(i), d, LatencyBound{Seconds: up, Tail: above / total, Ratio: tailRatio(h, i, m.margin)}})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var out []LatencyBound
	for _, c := range found {
		coarse := h.IsNative() && (int(c.i)+int(h.First))%4 == 0
		if len(out) < nearBounds || coarse && len(out) < allBounds {
			out = append(out, c.b)
		}
	}
	return out
}

// tailRatio is T(b/(1+m)) / T(b): how many times more requests lie above bucket
// i's upper bound b when every latency is (1+m) times longer. T is interpolated
// between bounds on logarithmic scales, as a Pareto tail; half a request is
// added to each count.
func tailRatio(h *Histogram, i int, m float64) float64 {
	above := make([]float64, len(h.Counts))
	n := 0.0
	for k := len(h.Counts) - 1; k >= 0; k-- {
		above[k] = n + 0.5
		n += h.Counts[k]
	}
	x := math.Log(h.upper(i) / (1 + m))
	ratio := (n + 0.5) / above[i]
	for k := i - 1; k >= 0; k-- {
		lo, hi := math.Log(h.upper(k)), math.Log(h.upper(k+1))
		if lo <= x+1e-9 {
			w := (x - lo) / (hi - lo)
			ratio = math.Exp(math.Log(above[k])*(1-w)+math.Log(above[k+1])*w) / above[i]
			break
		}
	}
	return math.Min(math.Max(ratio, minRatio), maxRatio)
}
