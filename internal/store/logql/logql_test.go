package logql

import (
	"errors"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	labels := map[string]string{"service_name": "cart", "k8s_event_reason": "BackOff", "severity_number": "13"}
	const line = `Back-off restarting failed container "cart"`
	for _, tc := range []struct {
		reason, query string
		want          bool
	}{
		{"the stream", `{service_name="cart"}`, true},
		{"another stream", `{service_name="auth"}`, false},
		{"expressions match all of a value", `{service_name=~"car"}`, false},
		{"an absent label is empty", `{service_name=~"c.*", absent=""}`, true},
		{"line holds", "{service_name=\"cart\"} |= `failed` != \"succeeded\"", true},
		{"line does not hold", `{service_name="cart"} |= "succeeded"`, false},
		{"line expressions match a part", `{service_name="cart"} |~ "rest.rting" !~ "^failed"`, true},
		{"structured metadata", `{service_name="cart"} | k8s_event_reason="BackOff"`, true},
		{"one of several", `{service_name="cart"} | k8s_event_reason=~"Failed|BackOff"`, true},
		{"or", `{service_name="cart"} | k8s_event_reason="Failed" or severity_number >= 13`, true},
		{"and binds tighter", `{service_name="cart"} | k8s_event_reason="Failed" or severity_number > 13 and severity_number < 20`, false},
		{"parentheses", `{service_name="cart"} | (k8s_event_reason="Failed" or severity_number=13) and service_name="cart"`, true},
		{"text is no number", `{service_name="cart"} | k8s_event_reason > 1`, false},
		{"what Grafana adds", `{service_name="cart"} | drop __error__ |= "failed"`, true},
		{"inside a metric", `sum by (detected_level) (count_over_time({service_name="cart"} |= "failed" [5m]))`, true},
	} {
		q, err := Parse(tc.query)
		if err != nil {
			t.Errorf("%s: %v", tc.reason, err)
			continue
		}
		label := func(n string) string { return labels[n] }
		if got := q.MatchStream(label) && q.MatchEntry(line, label); got != tc.want {
			t.Errorf("%s: %s is %v, want %v", tc.reason, tc.query, got, tc.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ query, want string }{
		{`{`, `line 1, col 2: unexpected end of the query, expected a label`},
		{`{a="b"`, `line 1, col 7: unexpected end of the query, expected "}"`},
		{`{a=b}`, `line 1, col 4: unexpected "b", expected a string in quotes`},
		{`{a=~"("}`, `line 1, col 5: regular expression "("`},
		{`{a="b"} | json`, `line 1, col 11: the stage "json" is not supported`},
		{"{a=\"b\"}\n|= 5", `line 2, col 4: unexpected "5", expected a string in quotes`},
		{`topk(5, {a="b"})`, `line 1, col 1: "topk" is not supported`},
		{`rate({a="b"}[5x])`, `line 1, col 14: invalid range "5x"`},
		{`rate({a="b"})`, `line 1, col 13: unexpected ")", expected "["`},
		{`{a="b} `, `has no end`},
		{`{a="b"} | c > "x"`, `expected a number`},
		{`{a="b"} | ` + strings.Repeat("(", 100), `more than 64 conditions`},
	} {
		_, err := Parse(tc.query)
		var pe *ParseError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Parse(%s):\n got %v\nwant %s", tc.query, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{``, `{}`, `{a="b", c=~"d.*"} |= "x" |~ "y" | e="f" or g > 5 and (h!="i")`, `sum(rate({a="b"}[1d])) by (c)`, "{a=`b`} | drop __error__", "\xff"} {
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
		empty := func(string) string { return "" }
		q.MatchStream(empty)
		q.MatchEntry("line", empty)
		if q.Metric != "" && q.Range <= 0 {
			t.Fatalf("Parse(%q): range %s", s, q.Range)
		}
	})
}
