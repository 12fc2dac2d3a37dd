package lokiapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/store/logql"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// entry is a log line of an answer.
type entry struct {
	at        int64
	line      string
	stream    map[string]string
	streamKey string
	metadata  map[string]string
}

// label is a label of the entry, of its stream or its metadata.
func (e entry) label(name string) string {
	if v, ok := e.stream[name]; ok {
		return v
	}
	return e.metadata[name]
}

// scan visits the lines in [start, end) that the query selects.
func (a *api) scan(ctx context.Context, q *logql.Query, start, end time.Time, oldestFirst bool, visit func(entry) bool) (telemetry.Scanned, error) {
	type stream struct {
		labels map[string]string
		key    string
	}
	streams := map[*segment.Resource]stream{}
	of := func(r *segment.Resource) stream {
		s, ok := streams[r]
		if !ok {
			s.labels = streamLabels(r)
			s.key = labelKey(s.labels)
			streams[r] = s
		}
		return s
	}
	read := func(l *telemetry.StoredLog) entry {
		s := of(l.Resource)
		return entry{at: l.Time, line: line(l), stream: s.labels, streamKey: s.key, metadata: metadata(l, s.labels)}
	}
	return a.store.ScanLogs(ctx, telemetry.LogQuery{
		From: start, To: end, OldestFirst: oldestFirst,
		MatchResource: func(r *segment.Resource) bool {
			labels := of(r).labels
			return q.MatchStream(func(n string) string { return labels[n] })
		},
		Match: func(l *telemetry.StoredLog) bool {
			e := read(l)
			return q.MatchEntry(e.line, e.label)
		},
	}, func(l *telemetry.StoredLog) bool { return visit(read(l)) })
}

// rangeQuery answers lines, or a metric at each step.
func (a *api) rangeQuery(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.Form.Get("query"))
	if err != nil {
		return err
	}
	start, end, err := a.timeRange(r.Form)
	if err != nil {
		return err
	}
	if q.Metric == "" {
		return a.lines(w, r, q, start, end)
	}
	step, err := readStep(r.Form, start, end)
	if err != nil {
		return err
	}
	return a.matrix(w, r, q, start, end, step)
}

// readStep reads step: a duration, or a number of seconds.
func readStep(v url.Values, start, end time.Time) (time.Duration, error) {
	s := v.Get("step")
	step := max(time.Second, end.Sub(start)/250) // as in Loki
	if s != "" {
		var err error
		if step, err = time.ParseDuration(s); err != nil {
			f, ferr := strconv.ParseFloat(s, 64)
			if ferr != nil || f > 1e9 {
				return 0, invalid("invalid step %q: must be a duration as 30s, or seconds", s)
			}
			step = time.Duration(f * float64(time.Second))
		}
	}
	if step <= 0 || end.Sub(start)/step > maxPoints {
		return 0, invalid("invalid step %q: must give 1 to %d points in the range", s, maxPoints)
	}
	return step, nil
}

// instant answers the lines before a time, or a metric at it.
func (a *api) instant(w http.ResponseWriter, r *http.Request) error {
	at, err := moment("time", r.Form.Get("time"), a.o.Now())
	if err != nil {
		return err
	}
	if sum, ok := vectors(r.Form.Get("query")); ok {
		return writeJSON(w, success(map[string]any{"resultType": "vector", "result": []any{
			map[string]any{"metric": map[string]string{}, "value": point(at, sum)},
		}, "stats": map[string]any{}}))
	}
	q, err := parse(r.Form.Get("query"))
	if err != nil {
		return err
	}
	if q.Metric == "" {
		return a.lines(w, r, q, at.Add(-defaultRange), at)
	}
	series, sc, err := a.compute(r.Context(), q, at, at, time.Second)
	if err != nil {
		return err
	}
	result := []any{}
	for _, s := range series {
		if s.counts[0] > 0 {
			result = append(result, map[string]any{"metric": s.labels, "value": point(at, s.value(q, 0))})
		}
	}
	a.note(w, sc)
	return writeJSON(w, success(map[string]any{"resultType": "vector", "result": result, "stats": statistics(sc)}))
}

// vectors computes vector(1)+vector(1), by which Grafana tests a data source.
func vectors(query string) (sum float64, ok bool) {
	for part := range strings.SplitSeq(strings.ReplaceAll(query, " ", ""), "+") {
		inner, found := strings.CutPrefix(part, "vector(")
		n, err := strconv.ParseFloat(strings.TrimSuffix(inner, ")"), 64)
		if !found || err != nil || !strings.HasSuffix(inner, ")") {
			return 0, false
		}
		sum += n
	}
	return sum, true
}

func point(at time.Time, v float64) [2]any {
	return [2]any{float64(at.UnixMilli()) / 1000, strconv.FormatFloat(v, 'f', -1, 64)}
}

func statistics(sc telemetry.Scanned) map[string]any {
	return map[string]any{"summary": map[string]any{"totalBytesProcessed": sc.Bytes, "totalLinesProcessed": sc.Records}}
}

// categorize is the flag by which a client asks for structured metadata apart
// from the stream's labels.
const categorize = "categorize-labels"

func (a *api) lines(w http.ResponseWriter, r *http.Request, q *logql.Query, start, end time.Time) error {
	limit := defaultLines
	if s := r.Form.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLines {
			return invalid("invalid limit %q: must be 1 to %d", s, maxLines)
		}
		limit = n
	}
	direction := r.Form.Get("direction")
	if direction != "" && !strings.EqualFold(direction, "forward") && !strings.EqualFold(direction, "backward") {
		return invalid("invalid direction %q: must be forward or backward", direction)
	}
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][]any           `json:"values"`
	}
	apart := strings.Contains(r.Header.Get("X-Loki-Response-Encoding-Flags"), categorize)
	streams := []*stream{}
	byKey := map[string]*stream{}
	n := 0
	sc, err := a.scan(r.Context(), q, start, end, strings.EqualFold(direction, "forward"), func(e entry) bool {
		key, labels, value := e.streamKey, e.stream, []any{strconv.FormatInt(e.at, 10), e.line}
		if apart {
			value = append(value, map[string]any{"structuredMetadata": e.metadata})
		} else {
			// Without the flag, as in Loki, all are labels of the stream.
			labels = map[string]string{}
			for _, m := range []map[string]string{e.metadata, e.stream} {
				for k, v := range m {
					labels[k] = v
				}
			}
			key = labelKey(labels)
		}
		s := byKey[key]
		if s == nil {
			s = &stream{Stream: labels}
			byKey[key] = s
			streams = append(streams, s)
		}
		s.Values = append(s.Values, value)
		n++
		return n < limit
	})
	if err != nil {
		return err
	}
	data := map[string]any{"resultType": "streams", "result": streams, "stats": statistics(sc)}
	if apart {
		data["encodingFlags"] = []string{categorize}
	}
	a.note(w, sc)
	return writeJSON(w, success(data))
}
