package main

import "fmt"

// effect is what is wrong with the canary.
type effect struct {
	add     float64 // to the error rate
	times   float64 // the error rate, 0 is 1
	latency slower
	route   int     // of one route only; -1 all
	convert float64 // factor of the conversion rate, 0 is 1
	onset   float64 // minutes after the rollout's start
}

func (e effect) none() bool {
	return e.add == 0 && e.times == 0 && e.latency.by == 0 && e.convert == 0
}

// scenario is a service, its noise, and what is wrong with the canary.
type scenario struct {
	group, name string
	rps, base   float64
	eff         effect
	classic     bool

	clump     float64    // errors come in clumps of this mean size
	heavy     bool       // with a Pareto tail
	podCV     float64    // spread of the pods' lasting error rates
	drift     float64    // per square root of an hour, the pods' log error rates wander
	burst     [3]float64 // error bursts per pod-hour, mean seconds, added error rate
	slow      [3]float64 // slow episodes per pod-hour, mean seconds, share slowed threefold
	slowPod   float64    // mean of the pods' lasting share of slowed requests
	mix       bool       // a route with ten times the errors, twice as much of it on the canary
	incident  bool       // minutes 7 to 10: 5 % errors on both tracks
	storm     bool       // in the incident retries double the traffic of whom they hit
	ramp      bool       // a morning: traffic, errors and latency rise
	jump      bool       // traffic and errors double at minute 15
	cold      bool       // new pods are slow for a minute
	coldError float64    // and fail this much of their first half minute
	restart   bool       // the canary's pods restart twice, counters with them
	missed    float64    // share of scrapes that are missed, each track by itself
	few       int        // pods in all, of which one is the canary's
	wander    [2]float64 // standard deviation of the pods' log error rates, which forget with this many minutes
	uneven    bool       // the incident hits each pod as hard as chance will
	zone      [3]float64 // error episodes of every second pod at once: per hour, mean seconds, added error rate
	rotten    float64    // share of pods that fail four times as often, for good
	flap      [3]float64 // incidents, as the history has them: per hour, mean seconds, added error rate; each hits each pod as hard as chance will
	node      [3]float64 // error episodes of every seventh pod at once: per hour, mean seconds, added error rate
	kinds     float64    // every second pod fails this many times as often
	swing     bool       // traffic and errors swing by a half, every twelve minutes
	renewed   [2]float64 // pods replaced per pod-hour; a new one's errors are this many times as many for two minutes
	slowed    bool       // in the incident requests are slowed on each pod as often as chance will
}

// scenarios are the cells of the bench. The first groups are the families of the
// reference measurement, "other" are families that no constant was chosen on.
func scenarios() []scenario {
	var out []scenario
	add := func(s scenario) { out = append(out, s) }
	all := effect{route: -1}
	rates := []float64{1, 10, 100, 1000}
	bases := []float64{.0001, .001, .01, .05}
	for _, rps := range rates {
		for _, p := range bases {
			add(scenario{group: "aa", name: "A/A", rps: rps, base: p, eff: all})
		}
	}
	for _, rps := range rates {
		for _, p := range bases {
			for _, d := range []float64{.001, .005, .01, .05} {
				add(scenario{group: "errors", name: fmt.Sprintf("errors +%g pp", 100*d), rps: rps, base: p, eff: effect{add: d, route: -1}})
			}
			add(scenario{group: "errors", name: "errors x2", rps: rps, base: p, eff: effect{times: 2, route: -1}})
		}
		for _, d := range []float64{.05, .20} {
			add(scenario{group: "route", name: fmt.Sprintf("errors +%g pp, one route of 20", 100*d), rps: rps, base: .001, eff: effect{add: d, route: 4}})
		}
		add(scenario{group: "route", name: "p99 +100 %, one route of 20", rps: rps, base: .001, eff: effect{latency: slower{.95, 1}, route: 4}})
		for _, d := range []float64{.2, .5, 1} {
			add(scenario{group: "latency", name: fmt.Sprintf("p99 +%g %%", 100*d), rps: rps, base: .001, eff: effect{latency: slower{.95, d}, route: -1}})
		}
		add(scenario{group: "latency", name: "all latencies +20 %", rps: rps, base: .001, eff: effect{latency: slower{0, .2}, route: -1}})
		add(scenario{group: "latency", name: "p999 +100 %", rps: rps, base: .001, eff: effect{latency: slower{.995, 1}, route: -1}})
		add(scenario{group: "conversion", name: "conversion -20 %", rps: rps, base: .001, eff: effect{convert: .8, route: -1}})
	}
	for _, rps := range []float64{100, 1000} {
		for _, d := range []float64{0, .2, .5, 1} {
			add(scenario{group: "coarse", name: fmt.Sprintf("classic buckets, p99 +%g %%", 100*d), rps: rps, base: .001, classic: true, eff: effect{latency: slower{.95, d}, route: -1}})
		}
	}
	for _, rps := range []float64{10, 100, 1000} {
		hostile := []scenario{
			{name: "errors in clumps of 8", base: .01, clump: 8},
			{name: "pods differ, CV 0.3", base: .01, podCV: .3},
			{name: "error bursts of pods", base: .002, burst: [3]float64{1, 45, .1}},
			{name: "slow episodes of pods", base: .002, slow: [3]float64{6, 20, .5}},
			{name: "slow nodes", base: .002, slowPod: .005},
			{name: "shared incident", base: .002, incident: true},
			{name: "mix of routes shifts", base: .002, mix: true},
			{name: "morning ramp", base: .005, ramp: true},
			{name: "cold start", base: .002, cold: true},
			{name: "canary restarts", base: .002, restart: true},
		}
		other := []scenario{
			{name: "errors in heavy clumps", base: .01, clump: 8, heavy: true},
			{name: "pods drift apart", base: .005, drift: .3},
			{name: "long error bursts", base: .002, burst: [3]float64{0.3, 240, .05}},
			{name: "pods differ and burst", base: .005, podCV: .4, burst: [3]float64{0.5, 60, .05}},
			{name: "slow episodes, long", base: .002, slow: [3]float64{0.5, 300, .2}},
			{name: "retry storm", base: .002, incident: true, storm: true},
			{name: "load doubles", base: .005, jump: true},
			{name: "scrapes missed", base: .005, missed: .1},
			{name: "six pods that differ", base: .005, podCV: .3, few: 6},
			{name: "four pods with bursts", base: .002, burst: [3]float64{1, 45, .1}, few: 4},
			{name: "cold start with errors", base: .002, coldError: .01},
		}
		// Drawn up after the guard was as it is now.
		fresh := []scenario{
			{name: "error rates wander", base: .005, wander: [2]float64{.5, 4}},
			{name: "incident hits pods unevenly", base: .002, incident: true, uneven: true},
			{name: "a zone fails at times", base: .002, zone: [3]float64{1, 90, .03}},
			{name: "one pod in ten is rotten", base: .003, rotten: .1},
			{name: "wandering, in clumps of 4", base: .01, wander: [2]float64{.3, 10}, clump: 4},
			{name: "bursts and slow nodes on a ramp", base: .003, ramp: true, burst: [3]float64{2, 20, .05}, slowPod: .003},
		}
		// Drawn up before the spread of stable's pods at present was first measured on
		// them, and not looked at while it was made.
		unseen := []scenario{
			{name: "incidents that flap unevenly", base: .002, flap: [3]float64{4, 60, .03}},
			{name: "a node of three pods fails", base: .002, node: [3]float64{1, 120, .05}},
			{name: "two kinds of pods", base: .005, kinds: 1.6},
			{name: "traffic and errors swing", base: .005, swing: true},
			{name: "pods are replaced, and new ones fail more", base: .003, renewed: [2]float64{.5, 5}},
			{name: "incident slows pods unevenly", base: .002, incident: true, slowed: true},
		}
		for _, s := range unseen {
			s.group, s.rps, s.eff = "unseen", rps, all
			add(s)
		}
		for _, s := range fresh {
			s.group, s.rps, s.eff = "fresh", rps, all
			add(s)
		}
		for _, s := range hostile {
			s.group, s.rps, s.eff = "hostile", rps, all
			add(s)
		}
		for _, s := range other {
			s.group, s.rps, s.eff = "other", rps, all
			if s.coldError > 0 { // errors of new pods are errors: a rollback is right
				s.group = "by-design"
			}
			add(s)
		}
		harmed := []scenario{
			{name: "clumps of 8; errors +1 pp", base: .01, clump: 8, eff: effect{add: .01, route: -1}},
			{name: "pods differ; errors x2", base: .01, podCV: .3, eff: effect{times: 2, route: -1}},
			{name: "bursts; errors +1 pp", base: .002, burst: [3]float64{1, 45, .1}, eff: effect{add: .01, route: -1}},
			{name: "slow nodes; p99 +50 %", base: .002, slowPod: .005, eff: effect{latency: slower{.95, .5}, route: -1}},
			{name: "leak: errors +1 pp from minute 12", base: .002, eff: effect{add: .01, route: -1, onset: 12}},
			{name: "incident, then errors +1 pp", base: .002, incident: true, eff: effect{add: .01, route: -1, onset: 12}},
			{name: "total failure: errors +50 pp", base: .002, eff: effect{add: .5, route: -1}},
			{name: "six pods that differ; errors +2 pp", base: .005, podCV: .3, few: 6, eff: effect{add: .02, route: -1}},
			{name: "heavy clumps; errors +3 pp", base: .01, clump: 8, heavy: true, eff: effect{add: .03, route: -1}},
		}
		for _, s := range harmed {
			s.group, s.rps = "hostile-harm", rps
			add(s)
		}
	}
	return out
}
