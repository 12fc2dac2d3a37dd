package chart

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Lines are values over time.
type Lines struct {
	Title    string
	From, To time.Time
	Series   []LineSeries
	// Format prints a value with its unit.
	Format func(float64) string
	// Top is the end of the y axis; 0 = what the values need.
	Top float64
	// Least is what the y axis holds at least; 0 = 1 where all values are 0.
	Least float64
	// Bands are levels that matter, such as a baseline.
	Levels []Level
	// Spans are times that matter, such as the step of a rollout.
	Marks []TimeMark
	// Step is the time between points: a gap of more than two is not drawn over.
	Step time.Duration
	Dots bool // draw the points too
	// Points leaves the lines between them out: the values are single events.
	Points bool
}

// LineSeries is one line. A point that is not known is left out.
type LineSeries struct {
	Name, Class string
	Points      []Point
}

// Point is a value at a time. Class overrides that of the series where points are drawn.
type Point struct {
	At    time.Time
	V     float64
	Class string
	Title string
}

// Level is a value on the y axis.
type Level struct {
	Name, Class string
	Value       float64
}

// TimeMark is a moment on the x axis.
type TimeMark struct {
	Name string
	At   time.Time
}

// Draw draws the lines.
func (l Lines) Draw() Chart {
	c := Chart{Title: l.Title, Table: Table{Head: []string{"Time (UTC)"}}}
	top := l.Top
	if top == 0 {
		for _, s := range l.Series {
			for _, p := range s.Points {
				top = max(top, p.V)
			}
		}
		for _, v := range l.Levels {
			top = max(top, v.Value)
		}
		top = Nice(max(top*1.02, l.Least), false)
	}
	total := l.To.Sub(l.From)
	x := func(t time.Time) float64 { return float64(t.Sub(l.From)) / float64(total) * Width }
	y := func(v float64) float64 { return Height - min(max(v/top, 0), 1)*Height }
	d := begin(l.describe(), Height)
	d.grid(gridLines, Height)
	for _, m := range l.Marks {
		if !m.At.Before(l.From) && !m.At.After(l.To) {
			d.line("when", x(m.At), 0, x(m.At), Height)
		}
	}
	for _, v := range l.Levels {
		d.line("level "+v.Class, 0, y(v.Value), Width, y(v.Value))
		c.Legend = append(c.Legend, Key{Class: "level " + v.Class, Name: v.Name, Text: l.Format(v.Value)})
	}
	for _, s := range l.Series {
		l.series(d, s, x, y)
		text := "no data"
		if n := len(s.Points); n > 0 {
			text = l.Format(s.Points[n-1].V)
		}
		c.Legend = append(c.Legend, Key{Class: s.Class, Name: s.Name, Text: text})
	}
	c.SVG = d.end()
	c.Y = yLabels(top, l.Format)
	c.X = timeLabels(l.From, l.To, 5)
	l.table(&c)
	return c
}

func (l Lines) series(d *svg, s LineSeries, x func(time.Time) float64, y func(float64) float64) {
	var path strings.Builder
	var last time.Time
	for _, p := range s.Points {
		command := "L"
		if last.IsZero() || (l.Step > 0 && p.At.Sub(last) > 2*l.Step) {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%s %s", command, num(x(p.At)), num(y(p.V)))
		last = p.At
	}
	if path.Len() > 0 && !l.Points {
		fmt.Fprintf(d, `<path class="line %s" d="%s"/>`, s.Class, path.String())
	}
	if !l.Dots && len(s.Points) > 1 {
		return
	}
	for _, p := range s.Points {
		class, title := s.Class, p.Title
		if p.Class != "" {
			class = p.Class
		}
		if title == "" {
			title = fmt.Sprintf("%s %s: %s", p.At.UTC().Format("2 Jan 15:04:05"), s.Name, l.Format(p.V))
		}
		d.dot(class, x(p.At), y(p.V), title)
	}
}

// describe says what the lines show, for those who do not see them.
func (l Lines) describe() string {
	parts := []string{l.Title}
	for _, s := range l.Series {
		if len(s.Points) == 0 {
			parts = append(parts, s.Name+": no data")
			continue
		}
		low, high := math.Inf(1), math.Inf(-1)
		for _, p := range s.Points {
			low, high = min(low, p.V), max(high, p.V)
		}
		parts = append(parts, fmt.Sprintf("%s from %s to %s, last %s", s.Name, l.Format(low), l.Format(high), l.Format(s.Points[len(s.Points)-1].V)))
	}
	return strings.Join(parts, "; ")
}

// maxTableRows bounds the data below a chart: more is for the query API.
const maxTableRows = 60

func (l Lines) table(c *Chart) {
	var times []time.Time
	seen := map[int64]bool{}
	for _, s := range l.Series {
		c.Table.Head = append(c.Table.Head, s.Name)
		for _, p := range s.Points {
			if !seen[p.At.UnixNano()] {
				seen[p.At.UnixNano()] = true
				times = append(times, p.At)
			}
		}
	}
	sortTimes(times)
	every := (len(times) + maxTableRows - 1) / maxTableRows
	for i, t := range times {
		if every > 1 && i%every != 0 {
			continue
		}
		row := []string{t.UTC().Format("2006-01-02 15:04:05")}
		for _, s := range l.Series {
			text := ""
			for _, p := range s.Points {
				if p.At.Equal(t) {
					text = l.Format(p.V)
				}
			}
			row = append(row, text)
		}
		c.Table.Rows = append(c.Table.Rows, row)
	}
	if every > 1 {
		c.Note = fmt.Sprintf("every %s point", ordinal(every))
	}
}

func ordinal(n int) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprintf("%drd", n)
	default:
		return fmt.Sprintf("%dth", n)
	}
}
