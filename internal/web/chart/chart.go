// Package chart draws charts as SVG on the server: no script, the same for
// everybody, with the numbers beside them as a table.
//
// An SVG is stretched to its place (preserveAspectRatio="none"), so it holds
// only what may be stretched: areas, and lines whose stroke does not scale.
// Texts of the axes are for the page to put around it. Colours are classes;
// the content security policy allows no style attributes.
package chart

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// Width and Height are the size of the drawing's own coordinates.
const (
	Width  = 1000
	Height = 200
)

// Chart is a drawing with the texts that belong around it.
type Chart struct {
	Title  string
	Unit   string // of the y axis, "" = a count
	SVG    template.HTML
	Y      []string // labels of the y axis from the top, evenly spaced
	X      []string // labels of the x axis from the left, evenly spaced
	Legend []Key
	Table  Table
	Note   string
}

// Key is an entry of the legend.
type Key struct {
	Class, Name string
	Text        string // its value, "" = none
}

// Table is the data of a chart.
type Table struct {
	Head []string
	Rows [][]string
}

// svg is a drawing under construction.
type svg struct{ strings.Builder }

func begin(label string, height int) *svg {
	s := &svg{}
	fmt.Fprintf(s, `<svg class="plot" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">`, Width, height, html.EscapeString(label))
	return s
}

func (s *svg) end() template.HTML {
	s.WriteString("</svg>")
	return template.HTML(s.String()) //nolint:gosec // every text in it went through html.EscapeString
}

func (s *svg) rect(class string, x, y, w, h float64, title string) {
	if w <= 0 || h <= 0 {
		return
	}
	fmt.Fprintf(s, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, num(x), num(y), num(w), num(h))
	if title == "" {
		s.WriteString("/>")
		return
	}
	fmt.Fprintf(s, `><title>%s</title></rect>`, html.EscapeString(title))
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(s, `<path class="%s" d="M%s %sL%s %s"/>`, class, num(x1), num(y1), num(x2), num(y2))
}

// dot is a point of a size that does not scale: a line of no length with round
// ends.
func (s *svg) dot(class string, x, y float64, title string) {
	fmt.Fprintf(s, `<path class="dot %s" d="M%s %sh0"><title>%s</title></path>`, class, num(x), num(y), html.EscapeString(title))
}

func (s *svg) grid(lines int, height float64) {
	for i := range lines {
		y := height * float64(i) / float64(lines-1)
		s.line("grid", 0, y, Width, y)
	}
}

// num is a coordinate with at most one decimal.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// gridLines is how many lines, and labels, a y axis has.
const gridLines = 5

// Nice returns the end of an axis from 0 that holds top and whose quarters are
// round numbers. whole asks for quarters that are whole numbers.
func Nice(top float64, whole bool) float64 {
	if !(top > 0) || math.IsInf(top, 0) {
		if whole {
			return gridLines - 1
		}
		return 1
	}
	step := top / (gridLines - 1)
	magnitude := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if s := m * magnitude; s >= step*(1-1e-9) && (!whole || s == math.Trunc(s)) {
			return s * (gridLines - 1)
		}
	}
	return gridLines - 1
}

func yLabels(top float64, format func(float64) string) []string {
	out := make([]string, gridLines)
	for i := range out {
		out[i] = format(top * float64(gridLines-1-i) / float64(gridLines-1))
	}
	return out
}

// timeLabels are n labels from from to to, in UTC.
func timeLabels(from, to time.Time, n int) []string {
	layout := "15:04"
	switch d := to.Sub(from); {
	case d > 4*24*time.Hour:
		layout = "2 Jan"
	case d > 26*time.Hour:
		layout = "2 Jan 15:04"
	case d <= 10*time.Minute:
		layout = "15:04:05"
	}
	out := make([]string, n)
	for i := range out {
		out[i] = from.Add(to.Sub(from) * time.Duration(i) / time.Duration(n-1)).UTC().Format(layout)
	}
	return out
}
