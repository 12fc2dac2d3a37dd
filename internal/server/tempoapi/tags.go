package tempoapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"fairlead.dev/fairlead/internal/store/otlpwire"
	"fairlead.dev/fairlead/internal/store/segment"
	"fairlead.dev/fairlead/internal/store/telemetry"
	"fairlead.dev/fairlead/internal/store/traceql"
)

type tagMetrics struct {
	InspectedBytes string `json:"inspectedBytes"`
}

type tagScope struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tagsV1 answers all tag names in one list, without intrinsics.
func (a *api) tagsV1(w http.ResponseWriter, r *http.Request) error {
	scopes, sc, err := a.tagNames(r)
	if err != nil {
		return err
	}
	names := []string{}
	for _, s := range scopes {
		if s.Name != "intrinsic" || r.URL.Query().Get("scope") == "intrinsic" {
			names = append(names, s.Tags...)
		}
	}
	slices.Sort(names)
	a.note(w, sc)
	return writeJSON(w, map[string]any{"tagNames": slices.Compact(names), "metrics": tagMetrics{strconv.FormatInt(sc.Bytes, 10)}})
}

// tagsV2 answers tag names by scope.
func (a *api) tagsV2(w http.ResponseWriter, r *http.Request) error {
	scopes, sc, err := a.tagNames(r)
	if err != nil {
		return err
	}
	a.note(w, sc)
	return writeJSON(w, map[string]any{"scopes": scopes, "metrics": tagMetrics{strconv.FormatInt(sc.Bytes, 10)}})
}

var tagScopes = []string{"resource", "span", "event", "intrinsic"}

func (a *api) tagNames(r *http.Request) ([]tagScope, telemetry.Scanned, error) {
	p := &params{values: r.URL.Query()}
	from, to := p.timeRange()
	limit := p.integer("limit", defaultTags, 0, maxTags)
	scope := p.values.Get("scope")
	if scope != "" && scope != "all" && scope != "none" && !slices.Contains(append(tagScopes, "link", "instrumentation"), scope) {
		p.fail("scope", scope, "must be resource, span, event or intrinsic")
	}
	if p.err != nil {
		return nil, telemetry.Scanned{}, p.err
	}
	if limit == 0 {
		limit = defaultTags
	}
	names := map[string]map[string]bool{"resource": {}, "span": {}, "event": {}}
	add := func(scope, name string) {
		if len(names[scope]) < limit {
			names[scope][name] = true
		}
	}
	seen := map[*segment.Resource]bool{}
	sc, err := a.scanSome(r.Context(), filterQuery(p.values.Get("q")), from, to, func(s *telemetry.StoredSpan) bool {
		if !seen[s.Resource] {
			seen[s.Resource] = true
			for key := range s.Resource.Values {
				add("resource", key)
			}
		}
		s.Attributes(func(key string, _ otlpwire.Value) bool {
			add("span", key)
			return true
		})
		s.EventAttributes(func(key string, _ otlpwire.Value) bool {
			add("event", key)
			return true
		})
		return true
	})
	if err != nil {
		return nil, sc, err
	}
	out := []tagScope{}
	for _, name := range tagScopes {
		if scope != "" && scope != "all" && scope != name {
			continue
		}
		tags := traceql.Intrinsics()
		if name != "intrinsic" {
			tags = []string{}
			for tag := range names[name] {
				tags = append(tags, tag)
			}
			slices.Sort(tags)
		}
		out = append(out, tagScope{name, tags})
	}
	return out, sc, nil
}

// filterQuery reads the q of a tag request. As in Tempo, one that is not
// complete restricts nothing: an editor sends it while the user types.
func filterQuery(s string) traceql.Candidates {
	all, _ := traceql.Parse("{}")
	c, _ := all.Single()
	if q, err := traceql.Parse(s); err == nil {
		if single, ok := q.Single(); ok {
			return single
		}
	}
	return c
}

// scanSome visits the newest spans that match, MaxScan of them at most.
func (a *api) scanSome(ctx context.Context, c traceql.Candidates, from, to time.Time, visit func(*telemetry.StoredSpan) bool) (telemetry.Scanned, error) {
	n := 0
	return a.store.ScanSpans(ctx, spanQuery(c, from, to), func(s *telemetry.StoredSpan) bool {
		n++
		return visit(s) && n < a.o.MaxScan
	})
}

type tagValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// valuesV1 answers the values of a tag as text.
func (a *api) valuesV1(w http.ResponseWriter, r *http.Request) error {
	values, sc, err := a.tagValues(r)
	if err != nil {
		return err
	}
	texts := []string{}
	for _, v := range values {
		texts = append(texts, v.Value)
	}
	slices.Sort(texts)
	a.note(w, sc)
	return writeJSON(w, map[string]any{"tagValues": slices.Compact(texts), "metrics": tagMetrics{strconv.FormatInt(sc.Bytes, 10)}})
}

// valuesV2 answers the values of a TraceQL field with their types.
func (a *api) valuesV2(w http.ResponseWriter, r *http.Request) error {
	values, sc, err := a.tagValues(r)
	if err != nil {
		return err
	}
	a.note(w, sc)
	return writeJSON(w, map[string]any{"tagValues": values, "metrics": tagMetrics{strconv.FormatInt(sc.Bytes, 10)}})
}

var typeNames = map[traceql.Type]string{
	traceql.TypeInt: "int", traceql.TypeFloat: "float", traceql.TypeString: "string", traceql.TypeBool: "bool",
	traceql.TypeDuration: "duration", traceql.TypeStatus: "keyword", traceql.TypeKind: "keyword",
}

// keywords are the values of fields that have few.
var keywords = map[string][]string{
	"status": {"error", "ok", "unset"},
	"kind":   {"client", "consumer", "internal", "producer", "server", "unspecified"},
}

func (a *api) tagValues(r *http.Request) ([]tagValue, telemetry.Scanned, error) {
	p := &params{values: r.URL.Query()}
	from, to := p.timeRange()
	limit := p.integer("limit", defaultTags, 0, maxTags)
	if p.err != nil {
		return nil, telemetry.Scanned{}, p.err
	}
	if limit == 0 {
		limit = defaultTags
	}
	field := traceql.ParseField(r.PathValue("name"))
	out := []tagValue{}
	if words := keywords[field.Name]; field.Scope == traceql.ScopeIntrinsic && words != nil {
		for _, word := range words {
			out = append(out, tagValue{"keyword", word})
		}
		return out, telemetry.Scanned{}, nil
	}
	seen := map[tagValue]bool{}
	add := func(v traceql.Value) bool {
		seen[tagValue{typeNames[v.Type], v.Text()}] = true
		return len(seen) < limit
	}
	sc, err := a.values(r.Context(), field, filterQuery(p.values.Get("q")), from, to, add, func() bool { return len(seen) < limit })
	if err != nil {
		return nil, sc, err
	}
	for v := range seen {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b tagValue) int { return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Type, b.Type)) })
	return out, sc, nil
}

// values calls add with the values of a field. Those of the root of a trace are
// read from root spans; durations and ids have too many to list.
func (a *api) values(ctx context.Context, f traceql.Field, c traceql.Candidates, from, to time.Time, add func(traceql.Value) bool, more func() bool) (telemetry.Scanned, error) {
	rootOnly := false
	switch {
	case f.Scope != traceql.ScopeIntrinsic:
	case f.Name == "rootName":
		rootOnly, f.Name = true, "name"
	case f.Name == "rootServiceName":
		rootOnly, f = true, traceql.Field{Scope: traceql.ScopeResource, Name: "service.name"}
	case f.Name != "name" && f.Name != "statusMessage" && f.Name != "event:name" && f.Name != "instrumentation:name" && f.Name != "instrumentation:version":
		return telemetry.Scanned{}, nil
	}
	done := map[*segment.Resource]bool{}
	return a.scanSome(ctx, c, from, to, func(s *telemetry.StoredSpan) bool {
		if rootOnly && !s.ParentID.IsEmpty() {
			return true
		}
		if f.Scope == traceql.ScopeResource {
			if done[s.Resource] {
				return true
			}
			done[s.Resource] = true
		}
		spanEnv{s}.Values(f, add)
		return more()
	})
}
