package sequential

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// R's wilcox.test gives the same statistic, p-values, interval and estimate
// (testdata/mannwhitney.R made the fixture): with and without ties, few and many values.
func TestMannWhitneyAsInR(t *testing.T) {
	data, err := os.ReadFile("testdata/mannwhitney.tsv")
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && strings.TrimSpace(s) != "NA" {
			t.Fatal(err)
		} else if err != nil {
			v = math.NaN()
		}
		return v
	}
	list := func(s string) []float64 {
		var out []float64
		for _, v := range strings.Split(s, ",") {
			out = append(out, number(v))
		}
		return out
	}
	cases, exact := 0, 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 10 {
			t.Fatalf("%d columns in %q", len(f), line)
		}
		cases++
		confidence, x, y := number(f[1]), list(f[2]), list(f[3])
		t.Run(f[0]+" at "+f[1], func(t *testing.T) {
			z, u, ok := MannWhitneyZ(x, y, 0)
			if !ok {
				t.Fatal("all tied")
			}
			near(t, "W", u, number(f[4]), 1e-9)
			p := number(f[5])
			near(t, "asymptotic p", math.Min(1, 2*(1-NormalCDF(math.Abs(z)))), p, 1e-12+1e-9*p)
			if want := number(f[6]); !math.IsNaN(want) {
				exact++
				near(t, "exact p", MannWhitneyExact(x, y), want, 1e-12)
			}
			lo, hi, ok := ShiftCI(x, y, confidence)
			if !ok {
				t.Fatal("no interval")
			}
			near(t, "low", lo, number(f[7]), rTolerance)
			near(t, "high", hi, number(f[8]), rTolerance)
			// Between the two middle differences R's root search stops anywhere.
			var d []float64
			for _, a := range x {
				for _, b := range y {
					d = append(d, a-b)
				}
			}
			slices.Sort(d)
			near(t, "estimate", HodgesLehmann(x, y), number(f[9]), rTolerance+(d[len(d)/2]-d[(len(d)-1)/2])/2)
		})
	}
	if cases < 30 || exact < 8 {
		t.Errorf("%d cases, %d of them exact", cases, exact)
	}
}

// rTolerance is that of R's root search, twice.
const rTolerance = 2e-4
