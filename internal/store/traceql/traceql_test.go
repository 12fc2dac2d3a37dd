package traceql

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeSpan has fields by their text.
type fakeSpan struct {
	values  map[string][]Value
	unknown map[string]bool
	parent  int
}

func (s fakeSpan) Parent() int { return s.parent }

func (s fakeSpan) Values(f Field, visit func(Value) bool) bool {
	if s.unknown[f.String()] {
		return false
	}
	for _, v := range s.values[f.String()] {
		if !visit(v) {
			break
		}
	}
	return true
}

func TestEvaluate(t *testing.T) {
	span := fakeSpan{
		values: map[string][]Value{
			"resource.service.name": {StringValue("cart")},
			".http.status_code":     {IntValue(502)},
			"span.retry":            {{Type: TypeBool, Bool: true}},
			"span.ratio":            {{Type: TypeFloat, Float: 0.5}},
			"span.my key":           {StringValue("x")},
			"event.exception.type":  {StringValue("A"), StringValue("B")},
			"duration":              {DurationValue(150e6)},
			"status":                {statusValue(2)},
			"kind":                  {kindValue(2)},
			"name":                  {StringValue("GET /cart")},
			"nestedSetParent":       {IntValue(-1)},
		},
		unknown: map[string]bool{"rootName": true},
	}
	for _, tc := range []struct {
		reason, query string
		want          Known
	}{
		{"the empty query selects all", "", True},
		{"an empty spanset selects all", "{}", True},
		{"equal text", `{ resource.service.name = "cart" }`, True},
		{"text in backticks", "{ resource.service.name = `cart` }", True},
		{"other scope", `{ span.service.name = "cart" }`, False},
		{"a number", `{ .http.status_code >= 500 }`, True},
		{"whole and floating numbers compare", `{ .http.status_code < 502.5 && span.ratio > 0 }`, True},
		{"text is no number", `{ .http.status_code = "502" }`, False},
		{"the regular expression matches all of the value", `{ name =~ "GET" }`, False},
		{"regular expression", `{ name =~ "GET .*" }`, True},
		{"escapes of a regular expression", `{ name =~ "GET\\s/\\w+" && name =~ "GET\s/\w+" }`, True},
		{"not that expression", `{ name !~ "POST.*" }`, True},
		{"status and kind", `{ status = error && kind = server }`, True},
		{"the long names", `{ span:status = error && span:kind = server && span:name = "GET /cart" }`, True},
		{"another status", `{ status != error }`, False},
		{"a duration", `{ duration > 100ms && duration <= 0.15s }`, True},
		{"a duration in two units", `{ duration < 1m30s }`, True},
		{"a boolean alone", `{ span.retry }`, True},
		{"not", `{ !span.retry || !(span.retry = true) }`, False},
		{"or binds looser than and", `{ false && false || true }`, True},
		{"parentheses", `{ false && (false || true) }`, False},
		{"any of the events", `{ event.exception.type = "B" }`, True},
		{"a quoted name", `{ span."my key" = "x" }`, True},
		{"an absent attribute differs from nothing", `{ .absent != "x" }`, False},
		{"an absent attribute is nil", `{ .absent = nil && .http.status_code != nil }`, True},
		{"a present one is not", `{ .http.status_code = nil }`, False},
		{"a literal on the left", `{ 500 < .http.status_code }`, True},
		{"the root span", `{ nestedSetParent < 0 }`, True},
		{"unknown", `{ rootName = "x" }`, Unknown},
		{"unknown decides nothing when the other side does", `{ rootName = "x" && status = ok }`, False},
		{"unknown or true", `{ rootName = "x" || status = error }`, True},
		{"not unknown", `{ !(rootName = "x") }`, Unknown},
	} {
		q, err := Parse(tc.query)
		if err != nil {
			t.Errorf("%s: Parse(%s): %v", tc.reason, tc.query, err)
			continue
		}
		if got := q.Candidates().Evaluate(span); got != tc.want {
			t.Errorf("%s: %s is %v, want %v", tc.reason, tc.query, got, tc.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		reason, query string
		want          string
	}{
		{"no end", `{ status = error`, `line 1, col 17: unexpected the end of the query, expected "}"`},
		{"a bare name", `{ foo = 1 }`, `line 1, col 3: unknown identifier "foo": an attribute needs a scope, as .foo, span.foo or resource.foo`},
		{"no string end", `{ .a = "x }`, `line 1, col 8: the string that begins here has no end`},
		{"on line 2", "{ status = error &&\n  .a ~ 1 }", `line 2, col 6: unexpected "~", expected "}"`},
		{"a bad expression", `{ .a =~ "(" }`, `line 1, col 9: regular expression "("`},
		{"an expression without quotes", `{ .a =~ 5 }`, `line 1, col 9: =~ needs a regular expression in quotes`},
		{"metrics", `{} | rate()`, `line 1, col 6: "rate" after | is not supported`},
		{"a negated structure", `{} !>> {}`, `line 1, col 4: the operator "!>>" between spansets is not supported`},
		{"arithmetic", `{ .a + 1 = 2 }`, `line 1, col 6: arithmetic ("+") is not supported`},
		{"links", `{ link.a = 1 }`, `line 1, col 3: attributes of scope "link" are not supported`},
		{"a bad duration", `{ duration > 5parsecs }`, `line 1, col 14: "5parsecs" is no number and no duration`},
		{"text after", `{} {}`, `line 1, col 4: unexpected "{", expected the end of the query`},
		{"a value alone", `{ 5 }`, `line 1, col 3: "5" alone is no condition`},
		{"an odd character", `{ § }`, `line 1, col 3:`},
		{"too deep", strings.Repeat("(", 100), `nests deeper than 64`},
		{"too long", "{" + strings.Repeat(" ", MaxQuery) + "}", `at most 16384 are allowed`},
	} {
		_, err := Parse(tc.query)
		var pe *ParseError
		if !errors.As(err, &pe) {
			t.Errorf("%s: Parse gave %v, want a *ParseError", tc.reason, err)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s:\n got %s\nwant %s", tc.reason, err, tc.want)
		}
	}
}

func TestMatchTrace(t *testing.T) {
	span := func(parent int, service, name string, status int32) Node {
		return fakeSpan{parent: parent, values: map[string][]Value{
			".service": {StringValue(service)}, "name": {StringValue(name)}, "status": {statusValue(status)},
		}}
	}
	//  0 web root ── 1 cart get ── 2 db query (error)
	//             └─ 3 cart put
	trace := []Node{span(-1, "web", "root", 0), span(0, "cart", "get", 0), span(1, "db", "query", 2), span(0, "cart", "put", 0)}
	for _, tc := range []struct {
		reason, query string
		want          []int
	}{
		{"one spanset", `{ .service = "cart" }`, []int{1, 3}},
		{"both must be there", `{ .service = "cart" } && { status = error }`, []int{1, 2, 3}},
		{"one is not", `{ .service = "cart" } && { .service = "auth" }`, nil},
		{"either", `{ .service = "auth" } || { status = error }`, []int{2}},
		{"child", `{ .service = "web" } > { .service = "cart" }`, []int{1, 3}},
		{"no child", `{ .service = "web" } > { .service = "db" }`, nil},
		{"descendant", `{ .service = "web" } >> { .service = "db" }`, []int{2}},
		{"parent", `{ .service = "db" } < { .service = "cart" }`, []int{1}},
		{"ancestor", `{ .service = "db" } << { .service = "web" }`, []int{0}},
		{"sibling", `{ name = "get" } ~ { name = "put" }`, []int{3}},
		{"parentheses", `({ .service = "auth" } || { .service = "cart" }) && { status = error }`, []int{1, 2, 3}},
		{"enough spans", `{ .service = "cart" } | count() > 1`, []int{1, 3}},
		{"not enough", `{ .service = "cart" } | count() > 2`, nil},
		{"select keeps the spans", `{ status = error } | select(name, .service)`, []int{2}},
	} {
		q, err := Parse(tc.query)
		if err != nil {
			t.Fatalf("%s: %v", tc.reason, err)
		}
		got := q.Match(trace)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s: -want +got\n%s", tc.reason, tc.query, diff)
		}
		// A trace that matches has a candidate.
		if len(got) > 0 {
			found := false
			for _, n := range trace {
				found = found || q.Candidates().Evaluate(n) != False
			}
			if !found {
				t.Errorf("%s: a trace matches, but none of its spans is a candidate", tc.reason)
			}
		}
	}
}

func TestCandidatesByErrorIndex(t *testing.T) {
	for query, want := range map[string]bool{
		`{ status = error }`:                                 true,
		`{ resource.a = "x" && status = error }`:             true,
		`{ status = error || .a = 1 }`:                       false,
		`{ .a = 1 } && { status = error }`:                   true,
		`{ .a = 1 } || { status = error }`:                   false,
		`{ status != error }`:                                false,
		`{ (status = error && .a = 1) || (error = status) }`: true,
		`{ .a = 1 } >> { .b = 1 && status = error }`:         true,
		`{ !(status = error) }`:                              false,
	} {
		q, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Candidates().Errors; got != want {
			t.Errorf("%s: Errors = %v, want %v", query, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{ resource.service.name = "x" && span.y != 5 || .z =~ "a.*" }`, `{ status = error } && { duration > 100ms } | select(.a) | count() > 3`,
		"{ .a = `b` }", `({}) >> {} ~ {}`, `{ span."a b" = nil }`, `{ !(true) }`, "\xff", `{ .a = -1.5e3 }`, `{ event:name = "exception" && instrumentation:name = "x" }`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(s)
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Line < 1 || pe.Col < 1 || pe.Msg == "" {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			return
		}
		trace := []Node{fakeSpan{parent: -1}, fakeSpan{parent: 0}, fakeSpan{parent: 1}}
		matched := len(q.Match(trace)) > 0
		candidate := q.Candidates().Evaluate(trace[0]) != False
		if matched && !candidate {
			t.Fatalf("Parse(%q): matches equal spans of which none is a candidate", s)
		}
		q.Fields()
	})
}
