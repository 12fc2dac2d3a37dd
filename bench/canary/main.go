// Command canary measures how good the judge's decisions are: it draws the traffic
// of whole rollouts, healthy and harmed, calm and hostile, and lets every rule
// decide on the same draws.
//
//	go run ./bench/canary -quick
//	go run ./bench/canary -full -seed 7
//	go run ./bench/canary -group hostile,other -trials 200 -rule sequential
//
// Tables: without harm, % of rollouts rolled back (+ held for a human); with harm,
// missed % [+ held %] / median minutes to the rollback / mean excess bad requests
// that the canary served. The same seed gives the same tables. The sequential rule is
// held against the reference design in paired differences, corrected by Holm.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("canary", flag.ContinueOnError)
	fs.SetOutput(progress)
	quick := fs.Bool("quick", false, "one trial of the cells at 100 requests/s (about a minute)")
	full := fs.Bool("full", false, "1000 trials of every cell (hours)")
	trials := fs.Int("trials", 0, "trials per cell; overrides -quick and -full")
	seed := fs.Uint64("seed", 1, "seed of the draws")
	groups := fs.String("group", "", "groups, comma separated: aa, hostile, other, fresh, unseen, by-design, errors, route, latency, conversion, coarse, hostile-harm")
	only := fs.String("only", "", "only cells whose name holds this")
	rps := fs.Float64("rps", 0, "only cells with this many requests per second")
	rule := fs.String("rule", "", "rules, comma separated: sequential, reference, threshold, flagger, kayenta; with the first two they are compared on paired draws")
	list := fs.Bool("list", false, "print every wrong rollback: when, in which step, and why")
	if err := fs.Parse(args); err != nil {
		return err
	}
	n := 100
	switch {
	case *trials > 0:
		n = *trials
	case *quick:
		n = 1
		if *rps == 0 {
			*rps = 100
		}
	case *full:
		n = 1000
	}
	wanted := func(list, name string) bool {
		return list == "" || strings.Contains(","+list+",", ","+name+",")
	}
	var ds []decider
	for _, d := range deciders() {
		if wanted(*rule, d.name) {
			ds = append(ds, d)
		}
	}
	if len(ds) == 0 {
		return fmt.Errorf("-rule %q: no such rule", *rule)
	}
	var pools []*pooled
	var compared []comparison
	for i, sc := range scenarios() {
		if !wanted(*groups, sc.group) || !strings.Contains(sc.name, *only) || *rps > 0 && sc.rps != *rps {
			continue
		}
		harmed := !sc.eff.none()
		if k := len(pools); k == 0 || pools[k-1].group != sc.group || pools[k-1].harmed != harmed {
			pools = append(pools, &pooled{group: sc.group})
			header(out, sc, ds)
		}
		var tell func(string, int, ending)
		if *list {
			tell = func(rule string, trial int, e ending) {
				fmt.Fprintf(progress, "%s, %g/s, trial %d: %s rolled back after %g min, step %d: %s %v\n", sc.name, sc.rps, trial, rule, e.minutes, e.step+1, e.message, e.blamed)
			}
		}
		cells, err := cell(sc, ds, n, *seed+uint64(i)*1_000_003, tell)
		if err != nil {
			return err
		}
		row(out, sc, cells)
		pools[len(pools)-1].add(sc, cells)
		if one, other := named(ds, "sequential"), named(ds, "reference"); one >= 0 && other >= 0 {
			compared = append(compared, compare(sc, cells[one].endings, cells[other].endings)...)
		}
	}
	if len(pools) == 0 {
		return fmt.Errorf("no cell is called so: see -help")
	}
	fmt.Fprintf(out, "\n%d trials a cell, seed %d\n", n, *seed)
	for _, p := range join(pools) {
		p.summary(out, ds)
	}
	report(out, "sequential", "reference", compared)
	return nil
}

// named is a decider's index, -1 if it does not take part.
func named(ds []decider, name string) int {
	return slices.IndexFunc(ds, func(d decider) bool { return d.name == name })
}

// join pools the parts of a group that were not next to one another.
func join(pools []*pooled) []*pooled {
	var out []*pooled
next:
	for _, p := range pools {
		for _, q := range out {
			if q.group == p.group && q.harmed == p.harmed {
				q.merge(p)
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

func (p *pooled) merge(o *pooled) {
	for i := range p.n {
		p.n[i] += o.n[i]
		p.rolled[i] += o.rolled[i]
		p.held[i] += o.held[i]
		p.promoted[i] += o.promoted[i]
		if o.worst[i] > p.worst[i] {
			p.worst[i], p.worstName[i] = o.worst[i], o.worstName[i]
		}
	}
}

func header(w io.Writer, sc scenario, ds []decider) {
	what := "rolled back %"
	if !sc.eff.none() {
		what = "missed % / minutes / excess"
	}
	fmt.Fprintf(w, "\n%s: %s\n\n| cell | rps | base |", sc.group, what)
	for _, d := range ds {
		fmt.Fprintf(w, " %s |", d.name)
	}
	fmt.Fprintf(w, "\n|---|--:|--:|%s\n", strings.Repeat("--:|", len(ds)))
}
