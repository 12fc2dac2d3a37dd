package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// timeRange is how far back a page looks.
type timeRange struct {
	Name  string // as the address has it
	Label string
	Span  time.Duration
	Bars  int // spans of time in a chart
}

var ranges = []timeRange{
	{"15m", "15 minutes", 15 * time.Minute, 30},
	{"1h", "hour", time.Hour, 30},
	{"24h", "24 hours", 24 * time.Hour, 48},
	{"7d", "7 days", 7 * 24 * time.Hour, 42},
	{"30d", "30 days", 30 * 24 * time.Hour, 60},
}

const defaultRange = "24h"

// filter is what a page is restricted to, as its address says.
type filter struct {
	Cluster, Namespace string
	Range              timeRange
	By                 string // what a chart is split by: release or namespace
	Search             string
	Status             string
	Page               int // from 1
	From, To           time.Time
	given              url.Values
}

func readFilter(q url.Values, now time.Time) (filter, error) {
	f := filter{Cluster: q.Get("cluster"), Namespace: q.Get("namespace"), By: q.Get("by"), Search: q.Get("q"), Status: q.Get("status"), Page: 1, given: q}
	name := q.Get("range")
	if name == "" {
		name = defaultRange
	}
	for _, r := range ranges {
		if r.Name == name {
			f.Range = r
		}
	}
	if f.Range.Name == "" {
		return f, statusError{http.StatusBadRequest, fmt.Sprintf("range=%q: want 15m, 1h, 24h, 7d or 30d", name)}
	}
	if v := q.Get("page"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 1_000_000 {
			return f, statusError{http.StatusBadRequest, fmt.Sprintf("page=%q: want a whole number from 1", v)}
		}
		f.Page = n
	}
	if f.By != "namespace" {
		f.By = "release"
	}
	f.To = now
	f.From = now.Add(-f.Range.Span)
	return f, nil
}

// Ranges are what can be chosen.
func (f filter) Ranges() []timeRange { return ranges }

// query is what links to other pages keep.
func (f filter) query() url.Values {
	q := url.Values{}
	for key, v := range map[string]string{"cluster": f.Cluster, "namespace": f.Namespace} {
		if v != "" {
			q.Set(key, v)
		}
	}
	if f.Range.Name != "" && f.Range.Name != defaultRange {
		q.Set("range", f.Range.Name)
	}
	return q
}

// all is the whole query of this page.
func (f filter) all() url.Values {
	q := url.Values{}
	for k, v := range f.given {
		if len(v) > 0 && v[0] != "" {
			q.Set(k, v[0])
		}
	}
	return q
}

// pageSize is how many rows a list has.
const pageSize = 50

// pager is a page of a list.
type pager struct {
	Page, Pages, Total int
	From, To           int // rows shown, from 1
}

// cut returns the rows of the page.
func cut[T any](rows []T, number int) ([]T, pager) {
	pages := max((len(rows)+pageSize-1)/pageSize, 1)
	number = min(max(number, 1), pages)
	lo, hi := (number-1)*pageSize, min(number*pageSize, len(rows))
	return rows[lo:hi], pager{Page: number, Pages: pages, Total: len(rows), From: min(lo+1, hi), To: hi}
}

// Prev and Next are the pages beside, "" where there is none.
func (p pager) Prev() string {
	if p.Page <= 1 {
		return ""
	}
	return strconv.Itoa(p.Page - 1)
}

// Next is the page after, "" at the end.
func (p pager) Next() string {
	if p.Page >= p.Pages {
		return ""
	}
	return strconv.Itoa(p.Page + 1)
}
