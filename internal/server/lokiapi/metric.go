package lokiapi

import (
	"context"
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/store/logql"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// series counts lines in the range before each step.
type series struct {
	labels map[string]string
	counts []int
}

func (s *series) value(q *logql.Query, i int) float64 {
	if q.Metric == "rate" {
		return float64(s.counts[i]) / q.Range.Seconds()
	}
	return float64(s.counts[i])
}

// compute counts, for each step from start to end, the lines in the range
// before it (its start left out), by stream labels or by those of sum.
func (a *api) compute(ctx context.Context, q *logql.Query, start, end time.Time, step time.Duration) ([]*series, telemetry.Scanned, error) {
	points := int(end.Sub(start)/step) + 1
	var all []*series
	byKey := map[string]*series{}
	tooMany := false
	sc, err := a.scan(ctx, q, start.Add(-q.Range+1), end.Add(1), false, func(e entry) bool {
		labels, key := e.stream, e.streamKey
		if q.Sum {
			labels = map[string]string{}
			for _, name := range q.By {
				if v := e.label(name); v != "" {
					labels[name] = v
				}
			}
			key = labelKey(labels)
		}
		s := byKey[key]
		if s == nil {
			if tooMany = len(all) == maxSeries; tooMany {
				return false
			}
			s = &series{labels: labels, counts: make([]int, points)}
			byKey[key] = s
			all = append(all, s)
		}
		// The first step at or after the line, and all until it leaves the range.
		since := time.Duration(e.at - start.UnixNano())
		first := 0
		if since > 0 {
			first = int((since + step - 1) / step)
		}
		for i := first; i < points && time.Duration(i)*step-since < q.Range; i++ {
			s.counts[i]++
		}
		return true
	})
	if err == nil && tooMany {
		err = invalid("the query has more than %d series: sum by fewer labels", maxSeries)
	}
	return all, sc, err
}

func (a *api) matrix(w http.ResponseWriter, r *http.Request, q *logql.Query, start, end time.Time, step time.Duration) error {
	all, sc, err := a.compute(r.Context(), q, start, end, step)
	if err != nil {
		return err
	}
	result := []any{}
	for _, s := range all {
		values := [][2]any{}
		for i, n := range s.counts {
			if n > 0 {
				values = append(values, point(start.Add(time.Duration(i)*step), s.value(q, i)))
			}
		}
		result = append(result, map[string]any{"metric": s.labels, "values": values})
	}
	a.note(w, sc)
	return writeJSON(w, success(map[string]any{"resultType": "matrix", "result": result, "stats": statistics(sc)}))
}
