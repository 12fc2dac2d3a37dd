package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// exact is the Clopper-Pearson interval of a proportion.
func exact(k, n int, confidence float64) (lo, hi float64) {
	a := (1 - confidence) / 2
	find := func(f func(p float64) bool) float64 {
		l, h := 0.0, 1.0
		for range 60 {
			if m := (l + h) / 2; f(m) {
				l = m
			} else {
				h = m
			}
		}
		return l
	}
	hi = 1
	if k > 0 {
		lo = find(func(p float64) bool { return sequential.BinomialTail(float64(n), float64(k), p) < a })
	}
	if k < n {
		hi = find(func(p float64) bool { return 1-sequential.BinomialTail(float64(n), float64(k+1), p) > a })
	}
	return lo, hi
}

func pct(k, n int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*float64(k)/float64(max(n, 1))), ".0")
}

// row prints a cell: without harm the share rolled back (and held), with harm
// missed % [+h held %] / median minutes to the rollback / mean excess bad requests.
func row(w io.Writer, sc scenario, cells []tallied) {
	fmt.Fprintf(w, "| %s | %g | %g%% |", sc.name, sc.rps, 100*sc.base)
	for i := range cells {
		c := &cells[i]
		if sc.eff.none() {
			fmt.Fprintf(w, " %s", pct(c.rolled, c.n))
			if c.held > 0 {
				fmt.Fprintf(w, " (+%s held)", pct(c.held, c.n))
			}
		} else {
			fmt.Fprintf(w, " %s", pct(c.promoted, c.n))
			if c.held > 0 {
				fmt.Fprintf(w, "+%sh", pct(c.held, c.n))
			}
			at := "–"
			if m := median(c.minutes); !math.IsNaN(m) {
				at = fmt.Sprintf("%.4g", m)
			}
			fmt.Fprintf(w, " / %s / %.0f", at, c.harm/float64(max(c.n, 1)))
		}
		fmt.Fprint(w, " |")
	}
	fmt.Fprintln(w)
}

// pooled is the sum of a group's cells.
type pooled struct {
	group           string
	harmed          bool
	n, rolled, held []int
	worst           []float64 // the greatest lower 99 % bound of a cell's rollbacks
	worstName       []string
	promoted        []int
}

func (p *pooled) add(sc scenario, cells []tallied) {
	if p.n == nil {
		k := len(cells)
		p.n, p.rolled, p.held, p.promoted = make([]int, k), make([]int, k), make([]int, k), make([]int, k)
		p.worst, p.worstName = make([]float64, k), make([]string, k)
	}
	p.harmed = !sc.eff.none()
	for i := range cells {
		c := &cells[i]
		p.n[i] += c.n
		p.rolled[i] += c.rolled
		p.held[i] += c.held
		p.promoted[i] += c.promoted
		if lo, _ := exact(c.rolled, c.n, 0.98); lo > p.worst[i] {
			p.worst[i], p.worstName[i] = lo, fmt.Sprintf("%s, %g/s", sc.name, sc.rps)
		}
	}
}

// summary prints a group's pooled shares with 95 % intervals.
func (p *pooled) summary(w io.Writer, ds []decider) {
	for i := range ds {
		what, k := "rolled back", p.rolled[i]
		if p.harmed {
			what, k = "promoted (missed)", p.promoted[i]
		}
		lo, hi := exact(k, p.n[i], 0.95)
		fmt.Fprintf(w, "%-13s %-11s %-17s %6d of %6d = %6.2f %% (95 %% interval %.2f to %.2f), held %.2f %%", p.group, ds[i].name, what,
			k, p.n[i], 100*float64(k)/float64(p.n[i]), 100*lo, 100*hi, 100*float64(p.held[i])/float64(p.n[i]))
		if !p.harmed && p.worst[i] > 0 {
			fmt.Fprintf(w, "; highest lower 99 %% bound of a cell %.2f %% (%s)", 100*p.worst[i], p.worstName[i])
		}
		fmt.Fprintln(w)
	}
}
