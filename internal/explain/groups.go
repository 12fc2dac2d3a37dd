package explain

import (
	"cmp"
	"slices"
)

// Group is failing traces that failed at the same place in the same way.
type Group struct {
	Route string `json:"route"`           // http.route, or UnknownRoute
	Span  string `json:"span"`            // where the error comes from: service and name
	Error string `json:"error,omitempty"` // exception and message, masked; or the status message
	Count int    `json:"count"`
	// Examples are ids of traces of the group.
	Examples []string `json:"examples"`
}

// maxGroups bounds the groups of a report: the rest is rarer than these.
const maxGroups = 5

// groups counts traces by where and how they failed, the largest group first.
func groups(traces []Trace, service string) []Group {
	type key struct{ route, span, text string }
	index := map[key]int{}
	var out []Group
	r := reader{service: service}
	for _, t := range traces {
		errs := t.errorSpans()
		entry, ok := t.Entry(service)
		if len(errs) == 0 || !ok {
			continue
		}
		k := key{routeOf(t, entry), r.place(errs[0]), errorText(errs)}
		i, known := index[k]
		if !known {
			i = len(out)
			index[k] = i
			out = append(out, Group{Route: k.route, Span: k.span, Error: k.text, Examples: []string{}})
		}
		out[i].Count++
		if len(out[i].Examples) < maxExamples {
			out[i].Examples = append(out[i].Examples, t.ID)
		}
	}
	slices.SortStableFunc(out, func(a, b Group) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), maxGroups)]
}

// errorText is the deepest exception, else what a span says of its failure.
func errorText(errs []Span) string {
	for _, s := range errs {
		if len(s.Exceptions) == 0 {
			continue
		}
		last := s.Exceptions[len(s.Exceptions)-1]
		switch {
		case last.Message == "":
			return cut(last.Type)
		case last.Type == "":
			return Mask(last.Message)
		}
		return cut(last.Type + ": " + Mask(last.Message))
	}
	for _, s := range errs {
		if text := cmp.Or(s.Message, s.Attributes["error.type"]); text != "" {
			return Mask(text)
		}
	}
	return ""
}
