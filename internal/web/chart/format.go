package chart

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func sortTimes(t []time.Time) { slices.SortFunc(t, time.Time.Compare) }

// Count prints a count with thin spaces between thousands.
func Count(v float64) string {
	if v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var out strings.Builder
	if v < 0 {
		out.WriteString("−")
	}
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && len(digits) > 4 {
			out.WriteRune('\u2009')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// Percent prints a share (0 to 1) with as many decimals as tell something.
func Percent(v float64) string {
	p := v * 100
	switch a := math.Abs(p); {
	case a == 0 || a >= 10:
		return strconv.FormatFloat(round(p, 1), 'f', -1, 64) + " %"
	case a >= 1:
		return strconv.FormatFloat(round(p, 2), 'f', -1, 64) + " %"
	default:
		return strconv.FormatFloat(round(p, 3), 'f', -1, 64) + " %"
	}
}

func round(v float64, decimals int) float64 {
	m := math.Pow(10, float64(decimals))
	return math.Round(v*m) / m
}

// Seconds prints a duration in seconds in the unit that suits it.
func Seconds(s float64) string {
	switch a := math.Abs(s); {
	case math.IsNaN(s) || math.IsInf(s, 0):
		return "–"
	case a == 0:
		return "0 s"
	case a < 1e-3:
		return strconv.FormatFloat(round(s*1e6, 0), 'f', -1, 64) + " µs"
	case a < 1:
		return strconv.FormatFloat(round(s*1e3, decimalsFor(a*1e3)), 'f', -1, 64) + " ms"
	case a < 60:
		return strconv.FormatFloat(round(s, decimalsFor(a)), 'f', -1, 64) + " s"
	default:
		return Duration(time.Duration(s * float64(time.Second)))
	}
}

func decimalsFor(v float64) int {
	switch {
	case v >= 100:
		return 0
	case v >= 10:
		return 1
	default:
		return 2
	}
}

// Duration prints d with its two largest units.
func Duration(d time.Duration) string {
	if d < 0 {
		return "−" + Duration(-d)
	}
	switch {
	case d < time.Minute:
		return Seconds(d.Seconds())
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "min")
	default:
		return two(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func two(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	d = d.Round(small)
	if rest := d % big; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/big, bigName, rest/small, smallName)
	}
	return fmt.Sprintf("%d %s", d/big, bigName)
}

// Bytes prints a size in the unit that suits it.
func Bytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatFloat(round(n, decimalsFor(n)/2), 'f', -1, 64) + " " + units[i]
}
