// Package explaintest makes traces of a shop whose canary fails for a planted
// reason, to measure how often package explain names it.
package explaintest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"fairlead.dev/fairlead/internal/explain"
)

// Cause is the reason that is planted.
type Cause string

// The causes. CauseNone plants nothing: failures happen anywhere.
const (
	CauseNone       Cause = "none"
	CauseRoute      Cause = "route"
	CauseRoutePod   Cause = "route x pod"
	CauseDependency Cause = "dependency attribute"
	CauseException  Cause = "exception type"
	CauseRegion     Cause = "region"
	CauseSlow       Cause = "slow only"
)

// Causes are all of them that plant something.
var Causes = []Cause{CauseRoute, CauseRoutePod, CauseDependency, CauseException, CauseRegion, CauseSlow}

// Sizes of the groups of traces.
type Sizes struct{ Failing, Healthy, StableFailing, StableHealthy int }

// background is the share of the canary's failures that have nothing to do with
// the planted reason.
const background = 0.15

var (
	exceptions = []string{"TimeoutError", "ConnectionReset", "ValidationError", "ConflictError"}
	regions    = []string{"eu-west", "eu-north", "us-east"}
	replicas   = []string{"orders-0", "orders-1", "orders-2", "orders-3"}
	methods    = []string{"GET", "GET", "POST", "PUT"}
)

const routes = 20

// Make returns traces with the cause planted, and the attributes any of which,
// named first, is the right answer. For a pair both are needed.
func Make(rng *rand.Rand, cause Cause, n Sizes) (in explain.Input, culprit []explain.Attribute) {
	g := generator{rng: rng, cause: cause, route: rng.IntN(routes), pod: rng.IntN(3), replica: rng.IntN(len(replicas)), region: rng.IntN(len(regions))}
	in = explain.Input{Service: "shop", Slow: cause == CauseSlow}
	for len(in.Failing) < n.Failing {
		planted := cause != CauseNone && rng.Float64() >= background
		if t, hit := g.trace(true, true, planted); !planted || hit {
			in.Failing = append(in.Failing, t)
		}
	}
	for len(in.Healthy) < n.Healthy {
		// Where the fault is, most requests fail: those that don't are rarer.
		if t, hit := g.trace(true, false, false); !hit || cause == CauseException || rng.Float64() < 0.3 {
			in.Healthy = append(in.Healthy, t)
		}
	}
	for range n.StableFailing {
		t, _ := g.trace(false, true, false)
		in.StableFailing = append(in.StableFailing, t)
	}
	for range n.StableHealthy {
		t, _ := g.trace(false, false, false)
		in.StableHealthy = append(in.StableHealthy, t)
	}
	return in, g.culprit()
}

type generator struct {
	rng                         *rand.Rand
	cause                       Cause
	route, pod, replica, region int
	count                       int
}

func (g *generator) culprit() []explain.Attribute {
	route := explain.Attribute{Key: "http.route", Value: routeName(g.route)}
	switch g.cause {
	case CauseRoute:
		return []explain.Attribute{route}
	case CauseRoutePod:
		return []explain.Attribute{route, {Key: "k8s.pod.name", Value: podName(true, g.pod)}}
	case CauseDependency, CauseSlow:
		return []explain.Attribute{{Key: "db.instance", Value: replicas[g.replica]}}
	case CauseException:
		return []explain.Attribute{{Key: "exception.type", Value: "PoolExhausted"}}
	case CauseRegion:
		return []explain.Attribute{{Key: "cloud.region", Value: regions[g.region]}}
	default:
		return nil
	}
}

func routeName(i int) string { return fmt.Sprintf("/r%02d/{id}", i) }

func podName(canary bool, i int) string {
	if canary {
		return fmt.Sprintf("shop-canary-5d8f9c7b4-%02d", i)
	}
	return fmt.Sprintf("shop-6b9d8f7c5-%02d", i)
}

// pick draws a route by Zipf's law, as traffic is.
func (g *generator) pick() int {
	total := 0.0
	for i := range routes {
		total += 1 / float64(i+1)
	}
	x := g.rng.Float64() * total
	for i := range routes {
		if x -= 1 / float64(i+1); x < 0 {
			return i
		}
	}
	return routes - 1
}

// trace makes one request: an entry span, a query and a call. hit tells whether
// it met the place of the planted fault.
func (g *generator) trace(canary, failing, planted bool) (t explain.Trace, hit bool) {
	g.count++
	route, region, replica := g.pick(), g.rng.IntN(len(regions)), g.rng.IntN(len(replicas))
	pods := 20
	if canary {
		pods = 3
	}
	pod := g.rng.IntN(pods)
	if planted { // drawn until it meets would take too long for a rare route
		switch g.cause {
		case CauseRoute:
			route = g.route
		case CauseRoutePod:
			route, pod = g.route, g.pod
		case CauseDependency, CauseSlow:
			replica = g.replica
		case CauseRegion:
			region = g.region
		}
	}
	exception := exceptions[g.rng.IntN(len(exceptions))]
	if planted && g.cause == CauseException {
		exception = "PoolExhausted"
	}
	at := func(c Cause, yes bool) bool { return g.cause == c && yes }
	hit = canary && (at(CauseRoute, route == g.route) || at(CauseRoutePod, route == g.route && pod == g.pod) ||
		at(CauseDependency, replica == g.replica) || at(CauseSlow, replica == g.replica) || at(CauseRegion, region == g.region) || at(CauseException, planted))

	version, track := "1.0", "stable"
	if canary {
		version, track = "2.0", "canary"
	}
	resource := map[string]string{
		"service.name": "shop", "service.version": version, "deployment.track": track, "k8s.pod.name": podName(canary, pod), "cloud.region": regions[region],
		"telemetry.sdk.language": "go",
	}
	start := time.Unix(1_700_000_000+int64(g.count), 0)
	id := func(n int) string { return fmt.Sprintf("%08x%08x", g.count, n) }
	base := time.Duration(20+g.rng.IntN(30)) * time.Millisecond
	query := base / 2
	if failing && g.cause == CauseSlow {
		query += time.Second
		base += time.Second
	}
	method := methods[route%len(methods)]
	entry := explain.Span{ID: id(1), Service: "shop", Name: method + " " + routeName(route), Start: start, Duration: base, Resource: resource,
		Attributes: map[string]string{"http.route": routeName(route), "http.request.method": method, "request.id": fmt.Sprintf("req-%d", g.rng.Int64()),
			"app.tenant": fmt.Sprintf("t%02d", g.rng.IntN(40)), "app.beta": fmt.Sprint(g.rng.IntN(2) == 0)}}
	db := explain.Span{ID: id(2), ParentID: id(1), Service: "shop", Name: "SELECT orders", Start: start.Add(time.Millisecond), Duration: query, Resource: resource,
		Attributes: map[string]string{"db.system": "postgresql", "db.instance": replicas[replica]}}
	call := explain.Span{ID: id(3), ParentID: id(1), Service: "shop", Name: "POST payments", Start: start.Add(query), Duration: base / 4, Resource: resource,
		Attributes: map[string]string{"server.address": "payments"}}
	if failing && g.cause != CauseSlow {
		culprit := &db
		if g.cause != CauseDependency && g.rng.IntN(2) == 0 {
			culprit = &call
		}
		culprit.Error, culprit.Message = true, exception
		culprit.Exceptions = []explain.Exception{{Type: exception, Message: fmt.Sprintf("%s after %d ms for user%d@example.com", exception, g.rng.IntN(900), g.rng.IntN(1000))}}
		entry.Error = true
	}
	return explain.Trace{ID: fmt.Sprintf("%032x", g.count), Spans: []explain.Span{entry, db, call}}, hit
}

// Named reports whether the first finding names the culprit, itself or among
// what covers the same traces.
func Named(r explain.Report, culprit []explain.Attribute) bool {
	if len(r.Findings) == 0 {
		return false
	}
	first := r.Findings[0]
	have := map[explain.Attribute]bool{}
	for _, a := range first.Attributes {
		have[a] = true
	}
	for _, a := range first.Same {
		have[a] = true
	}
	for _, a := range culprit {
		if !have[a] {
			return false
		}
	}
	return true
}
