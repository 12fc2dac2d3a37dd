package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// The same seed gives the same table, another seed another one.
func TestSameSeedSameTable(t *testing.T) {
	table := func(seed string) string {
		var out bytes.Buffer
		if err := run([]string{"-trials", "1", "-group", "errors", "-only", "+5 pp", "-rps", "100", "-rule", "sequential", "-seed", seed}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := table("1")
	if again := table("1"); again != first {
		t.Errorf("seed 1 gave\n%s\nand then\n%s", first, again)
	}
	if table("2") == first {
		t.Error("seed 2 gave the table of seed 1")
	}
	if !strings.Contains(first, "errors +5 pp") {
		t.Errorf("no cell in\n%s", first)
	}
}

func TestUnknownNames(t *testing.T) {
	for _, args := range [][]string{{"-rule", "guess"}, {"-group", "guess"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// Known answers: McNemar's exact test of 6 against 1 discordant pairs, and Holm's
// adjustment of 0.01, 0.04, 0.03 and 0.005.
func TestComparison(t *testing.T) {
	bad := ending{decision: analysis.Rollback}
	good := ending{decision: analysis.Promote}
	a := []ending{bad, bad, bad, bad, bad, bad, good, good, bad}
	b := []ending{good, good, good, good, good, good, bad, good, bad}
	c := discordant("", "", a, b, func(e ending) bool { return e.decision == analysis.Rollback })
	if c.worse != 6 || c.better != 1 || math.Abs(c.p-8.0/128) > 1e-12 || math.Abs(c.q-127.0/128) > 1e-12 {
		t.Errorf("%+v, want 6 and 1, p 0.0625", c)
	}
	got := holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("adjusted %v, want %v at %d", got, want, i)
		}
	}
	// Signed ranks of differences 1 to 8, all later: W = 36, z = (36-18-0.5)/sqrt(51).
	var slow, quick []ending
	for i := range 8 {
		slow = append(slow, ending{decision: analysis.Rollback, minutes: 10 + 2*float64(i+1)})
		quick = append(quick, ending{decision: analysis.Rollback, minutes: 10 + float64(i+1)})
	}
	if c := later("", slow, quick); math.Abs(c.p-(1-sequential.NormalCDF(17.5/math.Sqrt(51)))) > 1e-12 || c.worse != 8 {
		t.Errorf("%+v", c)
	}
}
