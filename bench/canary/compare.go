package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// comparison is one question about one cell: is the first decider worse than the
// second one on the same draws?
type comparison struct {
	cell, what    string
	worse, better int     // draws on which the first did worse, and better
	p, q          float64 // one-sided, that it is worse, and that it is better
	shift         float64 // median difference, of minutes
}

// compare asks the questions of a cell: without harm whether healthy canaries are
// rolled back more often; with harm whether more are missed (promoted), fewer are
// rolled back (rather held), and whether rollbacks come later.
func compare(sc scenario, a, b []ending) []comparison {
	name := fmt.Sprintf("%s, %g/s, %g %%", sc.name, sc.rps, 100*sc.base)
	if sc.eff.none() {
		return []comparison{discordant(name, "false rollbacks", a, b, func(e ending) bool { return e.decision == analysis.Rollback })}
	}
	return []comparison{
		discordant(name, "misses", a, b, func(e ending) bool { return e.decision == analysis.Promote }),
		discordant(name, "not rolled back", a, b, func(e ending) bool { return e.decision != analysis.Rollback }),
		later(name, a, b),
	}
}

// discordant is McNemar's exact test on the draws on which the two differ.
func discordant(cell, what string, a, b []ending, bad func(ending) bool) comparison {
	c := comparison{cell: cell, what: what}
	for i := range a {
		switch x, y := bad(a[i]), bad(b[i]); {
		case x && !y:
			c.worse++
		case y && !x:
			c.better++
		}
	}
	n := float64(c.worse + c.better)
	c.p = sequential.BinomialTail(n, float64(c.worse), 0.5)
	c.q = sequential.BinomialTail(n, float64(c.better), 0.5)
	return c
}

// later is Wilcoxon's signed-rank test of the minutes to the rollback, on the draws
// that both rolled back and on which they differ, with the normal approximation
// corrected for ties and continuity.
func later(cell string, a, b []ending) comparison {
	c := comparison{cell: cell, what: "minutes to the rollback", p: 1, q: 1}
	var diff, all []float64
	for i := range a {
		if a[i].decision != analysis.Rollback || b[i].decision != analysis.Rollback {
			continue
		}
		d := a[i].minutes - b[i].minutes
		all = append(all, d)
		if d != 0 {
			diff = append(diff, d)
		}
	}
	if len(all) > 0 {
		c.shift = median(all)
	}
	slices.SortFunc(diff, func(x, y float64) int { return cmp.Compare(math.Abs(x), math.Abs(y)) })
	n := float64(len(diff))
	up, ties := 0.0, 0.0
	for i := 0; i < len(diff); {
		j := i
		for j < len(diff) && math.Abs(diff[j]) == math.Abs(diff[i]) {
			j++
		}
		m := float64(j - i)
		ties += m*m*m - m
		for k := i; k < j; k++ {
			if diff[k] > 0 {
				up += float64(i+j+1) / 2
				c.worse++
			} else {
				c.better++
			}
		}
		i = j
	}
	if sd := math.Sqrt(n*(n+1)*(2*n+1)/24 - ties/48); n >= 5 && sd > 0 {
		c.p = 1 - sequential.NormalCDF((up-n*(n+1)/4-0.5)/sd)
		c.q = sequential.NormalCDF((up - n*(n+1)/4 + 0.5) / sd)
	}
	return c
}

// holm adjusts p-values for their number (Holm 1979).
func holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	out := make([]float64, len(ps))
	highest := 0.0
	for k, i := range order {
		highest = max(highest, min(1, float64(len(ps)-k)*ps[i]))
		out[i] = highest
	}
	return out
}

// familyError is the probability that any of all comparisons is called a difference
// by chance, in each direction.
const familyError = 0.05

// report prints which differences are beyond chance among all comparisons.
func report(w io.Writer, a, b string, cs []comparison) {
	if len(cs) == 0 {
		return
	}
	var worse, better []float64
	totals := map[string][2]int{}
	var questions []string
	for _, c := range cs {
		worse, better = append(worse, c.p), append(better, c.q)
		t, ok := totals[c.what]
		if !ok {
			questions = append(questions, c.what)
		}
		totals[c.what] = [2]int{t[0] + c.worse, t[1] + c.better}
	}
	fmt.Fprintf(w, "\n%s against %s, paired on the same draws, %d comparisons (Holm, family error %g in each direction)\n", a, b, len(cs), familyError)
	for _, q := range questions {
		t := totals[q]
		n := float64(t[0] + t[1])
		fmt.Fprintf(w, "%-24s worse on %d draws, better on %d (of all cells together, one-sided: worse p = %.2g, better p = %.2g)\n",
			q+":", t[0], t[1], sequential.BinomialTail(n, float64(t[0]), 0.5), sequential.BinomialTail(n, float64(t[1]), 0.5))
	}
	show := func(word string, adjusted []float64) {
		found := 0
		for i, c := range cs {
			if adjusted[i] > familyError {
				continue
			}
			found++
			fmt.Fprintf(w, "%s: %s, %s: worse %d, better %d", word, c.cell, c.what, c.worse, c.better)
			if c.what == "minutes to the rollback" {
				fmt.Fprintf(w, ", median %+.4g min", c.shift)
			}
			fmt.Fprintf(w, " (adjusted p %.2g)\n", adjusted[i])
		}
		if found == 0 {
			fmt.Fprintf(w, "%s in no cell beyond chance; smallest adjusted p %.2g\n", word, slices.Min(adjusted))
		}
	}
	show("worse", holm(worse))
	show("better", holm(better))
}
