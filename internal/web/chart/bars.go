package chart

import (
	"fmt"
	"strconv"
	"time"
)

// Bars are counts of things in spans of time, stacked.
type Bars struct {
	Title    string
	From, To time.Time
	Series   []BarSeries
}

// BarSeries is one colour of the bars; Values are by span of time.
type BarSeries struct {
	Name, Class string
	Values      []float64
}

// Draw draws the bars.
func (b Bars) Draw() Chart {
	n := 0
	for _, s := range b.Series {
		n = max(n, len(s.Values))
	}
	c := Chart{Title: b.Title}
	if n == 0 {
		return c
	}
	totals := make([]float64, n)
	for _, s := range b.Series {
		for i, v := range s.Values {
			totals[i] += v
		}
	}
	top, sum := 0.0, 0.0
	for _, t := range totals {
		top, sum = max(top, t), sum+t
	}
	top = Nice(top, true)
	span := b.To.Sub(b.From) / time.Duration(n)
	d := begin(fmt.Sprintf("%s: %s in %d spans of %s", b.Title, Count(sum), n, Duration(span)), Height)
	d.grid(gridLines, Height)
	slot := float64(Width) / float64(n)
	gap := min(slot*0.18, 6)
	base := make([]float64, n)
	for _, s := range b.Series {
		seriesSum := 0.0
		for i, v := range s.Values {
			h := v / top * Height
			d.rect("bar "+s.Class, float64(i)*slot+gap/2, Height-base[i]-h, slot-gap, h,
				fmt.Sprintf("%s: %s %s", b.From.Add(span*time.Duration(i)).UTC().Format("2 Jan 15:04"), Count(v), s.Name))
			base[i] += h
			seriesSum += v
		}
		c.Legend = append(c.Legend, Key{Class: s.Class, Name: s.Name, Text: Count(seriesSum)})
	}
	c.SVG = d.end()
	c.Y = yLabels(top, Count)
	c.X = timeLabels(b.From, b.To, 5)
	c.Table.Head = []string{"From (UTC)"}
	for _, s := range b.Series {
		c.Table.Head = append(c.Table.Head, s.Name)
	}
	for i := range n {
		if totals[i] == 0 {
			continue
		}
		row := []string{b.From.Add(span * time.Duration(i)).UTC().Format("2006-01-02 15:04")}
		for _, s := range b.Series {
			row = append(row, strconv.FormatFloat(s.Values[i], 'f', -1, 64))
		}
		c.Table.Rows = append(c.Table.Rows, row)
	}
	return c
}

// Histogram is how many values lie between bounds.
type Histogram struct {
	Title  string
	Bounds []float64 // upper bounds in seconds; a last count is above all
	Counts []int
	// Marks are values to point at, such as a median.
	Marks []Mark
}

// Mark is a value on the x axis.
type Mark struct {
	Name, Class string
	Value       float64
}

// Draw draws the histogram: the columns are of equal width, whatever their
// bounds.
func (h Histogram) Draw() Chart {
	lo, hi := 0, len(h.Counts)-1
	for lo < hi && h.Counts[lo] == 0 {
		lo++
	}
	for hi > lo && h.Counts[hi] == 0 {
		hi--
	}
	// A few columns beside, so that one alone does not fill the width.
	for hi-lo < 7 && (lo > 0 || hi < len(h.Counts)-1) {
		lo, hi = max(lo-1, 0), min(hi+1, len(h.Counts)-1)
	}
	bound := func(i int) float64 {
		switch {
		case i < 0:
			return 0
		case i < len(h.Bounds):
			return h.Bounds[i]
		default:
			return h.Bounds[len(h.Bounds)-1] * 2
		}
	}
	most, sum := 0, 0
	for _, n := range h.Counts {
		most, sum = max(most, n), sum+n
	}
	top := Nice(float64(most), true)
	d := begin(fmt.Sprintf("%s: %d values", h.Title, sum), Height)
	d.grid(gridLines, Height)
	c := Chart{Title: h.Title, Table: Table{Head: []string{"Up to", "Count"}}}
	slot := float64(Width) / float64(hi-lo+1)
	for i := lo; i <= hi; i++ {
		name := Seconds(bound(i-1)) + " to " + Seconds(bound(i))
		if i >= len(h.Bounds) {
			name = "above " + Seconds(bound(i-1))
		}
		height := float64(h.Counts[i]) / top * Height
		d.rect("bar s0", float64(i-lo)*slot+2, Height-height, slot-4, height, fmt.Sprintf("%s: %d", name, h.Counts[i]))
		c.Table.Rows = append(c.Table.Rows, []string{name, strconv.Itoa(h.Counts[i])})
	}
	for _, m := range h.Marks {
		for i := lo; i <= hi; i++ {
			if m.Value > bound(i) && i < hi {
				continue
			}
			share := min(max((m.Value-bound(i-1))/(bound(i)-bound(i-1)), 0), 1)
			x := (float64(i-lo) + share) * slot
			d.line("mark "+m.Class, x, 0, x, Height)
			break
		}
		c.Legend = append(c.Legend, Key{Class: m.Class, Name: m.Name, Text: Seconds(m.Value)})
	}
	c.SVG = d.end()
	c.Y = yLabels(top, Count)
	// A label at each edge would not fit: five edges, evenly spaced.
	columns := hi - lo + 1
	step := max((columns+3)/4, 1)
	for i := 0; i <= columns; i += step {
		c.X = append(c.X, Seconds(bound(lo+i-1)))
	}
	if rest := columns % step; rest != 0 {
		c.X = append(c.X, "")
	}
	return c
}
