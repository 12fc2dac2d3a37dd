package explain

import (
	"math"
	"slices"
	"time"
)

// minRouteSamples is the least number of stable's traces on a route from which
// its p99 is read; below 100 it is their maximum.
const minRouteSamples = 20

// Thresholds are the durations above which a trace of a route is slow.
type Thresholds map[string]time.Duration

// P99ByRoute returns stable's p99 by route, from the entries of its traces. A
// route with fewer than 20 traces has none: it cannot be said what is slow there.
func P99ByRoute(stable []Trace, service string) Thresholds {
	durations := map[string][]time.Duration{}
	for _, t := range stable {
		if e, ok := t.Entry(service); ok {
			route := routeOf(t, e)
			durations[route] = append(durations[route], e.Duration)
		}
	}
	out := Thresholds{}
	for route, all := range durations {
		if len(all) < minRouteSamples {
			continue
		}
		slices.Sort(all)
		out[route] = all[int(math.Ceil(0.99*float64(len(all))))-1]
	}
	return out
}

// Split divides traces into those slower than their route's threshold and the
// others. Traces of routes without a threshold are in neither.
func (th Thresholds) Split(traces []Trace, service string) (slow, others []Trace) {
	for _, t := range traces {
		e, ok := t.Entry(service)
		if !ok {
			continue
		}
		limit, known := th[routeOf(t, e)]
		switch {
		case !known:
		case e.Duration > limit:
			slow = append(slow, t)
		default:
			others = append(others, t)
		}
	}
	return slow, others
}
