package explain

import "strings"

// Filter says which attributes may be looked at and shown. Deny wins over
// Allow; an empty Allow allows all. A pattern is a key, or a prefix that ends
// with "*".
type Filter struct{ Allow, Deny []string }

// alwaysDenied are attributes that differ from request to request or hold what
// nobody should read in a report.
var alwaysDenied = []string{
	"http.url", "url.full", "url.query", "url.path", "http.target", "db.statement", "db.query.text", "user.*", "enduser.*", "session.*",
	"client.*", "net.sock.*", "network.*", "source.*", "thread.*", "http.user_agent", "user_agent.*", "http.request.header.*", "http.response.header.*",
	"http.client_ip", "messaging.message.*", "exception.stacktrace", "code.*", "telemetry.*", "process.*", "container.id", "server.port",
	// Outcomes, not circumstances: they say that it failed, not where.
	"http.status_code", "http.response.status_code", "http.response.body.size", "http.response_content_length", "http.request.body.size",
	"rpc.grpc.status_code", "otel.status_code", "otel.status_description", "error", "error.type", "error.message", "status.*",
}

func (f Filter) allows(key string) bool {
	if matches(alwaysDenied, key) || matches(f.Deny, key) {
		return false
	}
	return len(f.Allow) == 0 || matches(f.Allow, key)
}

func matches(patterns []string, key string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(key, prefix) || p == key {
			return true
		}
	}
	return false
}

// reader reads features from traces. It remembers normalised values: most occur
// in many traces.
type reader struct {
	service string
	filter  Filter
	slow    bool
	// where are the places that the failures come from.
	where map[string]bool
	cache map[string]string
}

// circumstances returns what a trace was like: attributes of its entry, and of
// its spans that stand where failures come from. Those are looked at in healthy
// traces too, so that a dependency that every request uses is not blamed for
// being used.
func (r *reader) circumstances(t Trace) map[feature]bool {
	out := map[feature]bool{}
	entry, ok := t.Entry(r.service)
	if !ok {
		return out
	}
	r.add(out, entry.Attributes, false)
	r.add(out, entry.Resource, true)
	if route := routeOf(t, entry); route != UnknownRoute && r.filter.allows("http.route") {
		out[feature{"http.route", route}] = true
	}
	for _, s := range t.Spans {
		if !r.where[r.place(s)] {
			continue
		}
		out[feature{"span", r.place(s)}] = true
		r.add(out, s.Attributes, false)
		if s.Service != entry.Service {
			r.add(out, s.Resource, true)
		}
	}
	if r.slow {
		if s, ok := t.slowest(); ok {
			out[feature{"slow.span", r.place(s)}] = true
		}
	}
	return out
}

func (r *reader) add(out map[feature]bool, attributes map[string]string, resource bool) {
	for k, v := range attributes {
		if v == "" || !r.filter.allows(k) {
			continue
		}
		if !resource && !identifies(k) {
			v = r.normalise(v)
		}
		out[feature{k, cut(v)}] = true
	}
}

// identifies reports whether the key names a place of the infrastructure, whose
// value is told as it is though it looks like an id.
func identifies(key string) bool {
	return strings.HasPrefix(key, "k8s.") || strings.HasPrefix(key, "host.") || strings.HasPrefix(key, "cloud.")
}

// outcome returns what only a failure has: the span that it comes from, and its
// exception.
func (r *reader) outcome(t Trace) map[feature]bool {
	out := map[feature]bool{}
	errs := t.errorSpans()
	if len(errs) == 0 {
		return out
	}
	deepest := errs[0]
	out[feature{"error.span", r.place(deepest)}] = true
	if v := deepest.Attributes["error.type"]; v != "" {
		out[feature{"error.type", r.normalise(v)}] = true
	}
	if deepest.Message != "" {
		out[feature{"status.message", Mask(deepest.Message)}] = true
	}
	for _, s := range errs {
		if len(s.Exceptions) == 0 {
			continue
		}
		last := s.Exceptions[len(s.Exceptions)-1]
		if last.Type != "" {
			out[feature{"exception.type", last.Type}] = true
		}
		if last.Message != "" {
			out[feature{"exception.message", Mask(last.Message)}] = true
		}
		break
	}
	return out
}

// find sets where from the failing traces.
func (r *reader) find(failing []Trace) {
	r.where = map[string]bool{}
	for _, t := range failing {
		if s, ok := r.source(t); ok {
			r.where[r.place(s)] = true
		}
	}
}

// source returns the span that a failure comes from, or that took the time.
func (r *reader) source(t Trace) (Span, bool) {
	if r.slow {
		return t.slowest()
	}
	errs := t.errorSpans()
	if len(errs) == 0 {
		return Span{}, false
	}
	return errs[0], true
}

// place is where in the system a span stands: service and name.
func (r *reader) place(s Span) string {
	if s.Service == "" {
		return r.normalise(s.Name)
	}
	return s.Service + ": " + r.normalise(s.Name)
}

// normalise makes values that differ only by an id equal, and leaves numbers as
// they are: a shard, a status, a version.
func (r *reader) normalise(v string) string {
	if n, ok := r.cache[v]; ok {
		return n
	}
	n := v
	for _, m := range masks[:len(masks)-1] {
		n = m.pattern.ReplaceAllString(n, m.with)
	}
	n = cut(n)
	if r.cache == nil {
		r.cache = map[string]string{}
	}
	r.cache[v] = n
	return n
}

// feature is one attribute with one value.
type feature struct{ key, value string }
