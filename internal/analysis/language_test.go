package analysis

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The files of testdata/verdicts are scripts in a small language, described in
// testdata/README.md: load raw counters, freeze the history, begin a step, fold
// to a time, expect a verdict.
func TestVerdicts(t *testing.T) {
	files, err := filepath.Glob("testdata/verdicts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s := script{t: t, file: f, cfg: Default(), from: epoch}
			s.run(string(data))
		})
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type script struct {
	t      *testing.T
	file   string
	line   int
	cfg    Config
	series []Series
	step   time.Duration
	from   time.Time // end of what was folded
	seen   bool
	frozen *Frozen
	judge  *Judge
	err    error // of the last command, not yet expected
}

func (s *script) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

func (s *script) run(text string) {
	lines := []string{}
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		lines = append(lines, sc.Text())
	}
	for i := 0; i < len(lines); i++ {
		s.line = i + 1
		line := strings.TrimSpace(lines[i])
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var block []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			block = append(block, lines[i])
		}
		if s.err != nil && !strings.HasPrefix(line, "expect error") {
			s.fatal("unexpected error: %v", s.err)
		}
		s.command(strings.Fields(line), line, block)
	}
	if s.err != nil {
		s.fatal("unexpected error: %v", s.err)
	}
}

func (s *script) command(words []string, line string, block []string) {
	switch words[0] {
	case "config":
		s.cfg, s.err = Decode([]byte(strings.Join(block, "\n")))
	case "load":
		s.step = s.duration(words[1])
		for _, l := range block {
			if l := strings.TrimSpace(l); l != "" && l[0] != '#' {
				s.load(l)
			}
		}
	case "errors": // errors ever seen
		s.seen = true
	case "freeze": // freeze FROM TO
		s.freeze(s.at(words[1]), s.at(words[2]))
	case "begin":
		s.begin(words[1:])
	case "fold": // fold to T, fold again FROM TO
		if words[1] == "again" {
			s.fold(s.at(words[2]), s.at(words[3]))
		} else {
			s.fold(s.from, s.at(words[2]))
		}
	case "restore":
		s.restore()
	case "expect":
		s.expect(words[1:], line)
	default:
		s.fatal("unknown command %q", words[0])
	}
}

func (s *script) duration(w string) time.Duration {
	d, err := time.ParseDuration(w)
	if err != nil {
		s.fatal("%v", err)
	}
	return d
}

func (s *script) at(w string) time.Time { return epoch.Add(s.duration(w)) }

var seriesSyntax = regexp.MustCompile(`^(\w+)\{(.*?)\}\s+(.*)$`)

// load reads one series: kind{labels} values.
func (s *script) load(l string) {
	m := seriesSyntax.FindStringSubmatch(l)
	if m == nil {
		s.fatal("no series: %s", l)
	}
	out := Series{ID: m[1] + "{" + m[2] + "}"}
	var native *Histogram
	skew := time.Duration(0)
	switch m[1] {
	case "requests":
		out.Kind = KindRequests
	case "errors":
		out.Kind = KindErrors
	case "failed": // a request counter with status 5xx
		out.Kind = KindRequests | KindErrors
	case "bucket":
		out.Kind = KindBucket
	case "native":
		out.Kind, native = KindHistogram, &Histogram{}
	case "good":
		out.Kind = KindGood
	case "of":
		out.Kind = KindOf
	default:
		s.fatal("unknown kind %q", m[1])
	}
	for _, kv := range strings.Split(m[2], ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(kv), "=")
		v = strings.Trim(v, `"`)
		switch k {
		case "track":
			if err := out.Track.UnmarshalText([]byte(v)); err != nil {
				s.fatal("%v", err)
			}
		case "route":
			out.Route = v
		case "pod":
			out.Pod = v
		case "name":
			out.Name = v
		case "le":
			out.LE = s.number(v)
			out.ID = "" // buckets of one histogram share an ID
		case "schema":
			native.Schema = int8(s.number(v))
		case "first":
			native.First = int32(s.number(v))
		case "shape": // counts per bucket of one unit of the values
			for _, c := range strings.Split(v, "/") {
				native.Counts = append(native.Counts, s.number(c))
			}
		case "late":
			skew = s.duration(v)
		case "created":
			out.Created = s.at(v)
		default:
			s.fatal("unknown label %q", k)
		}
	}
	at := epoch
	for _, v := range s.values(m[3]) {
		if v != nil {
			p := Point{T: at.Add(-skew), V: *v}
			if native != nil {
				h := native.clone()
				for i := range h.Counts {
					h.Counts[i] *= *v
				}
				p.H = &h
			}
			out.Points = append(out.Points, p)
		}
		at = at.Add(s.step)
	}
	s.series = append(s.series, out)
}

func (s *script) number(v string) float64 {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		s.fatal("%v", err)
	}
	return f
}

var runSyntax = regexp.MustCompile(`^(_|NaN|-?Inf|-?[\d.]+)(?:([+-])([\d.]+))?(?:x(\d+))?$`)

// values reads "0+5x10 _x3 7 NaN": as in promqltest, and "~+5x10" goes on from the
// value before.
func (s *script) values(text string) []*float64 {
	var out []*float64
	last := 0.0
	for _, w := range strings.Fields(text) {
		if rest, ok := strings.CutPrefix(w, "~"); ok {
			w = strconv.FormatFloat(last, 'f', -1, 64) + rest
			m := runSyntax.FindStringSubmatch(w)
			if m == nil || m[2] != "+" {
				s.fatal("no values: %q", w)
			}
			n, _ := strconv.Atoi(m[4])
			for range n {
				last += s.number(m[3])
				v := last
				out = append(out, &v)
			}
			continue
		}
		m := runSyntax.FindStringSubmatch(w)
		if m == nil {
			s.fatal("no values: %q", w)
		}
		n := 0
		if m[4] != "" {
			n, _ = strconv.Atoi(m[4])
		}
		if m[1] == "_" {
			for range max(n, 1) {
				out = append(out, nil)
			}
			continue
		}
		v := s.number(m[1])
		inc := 0.0
		if m[3] != "" {
			if inc = s.number(m[3]); m[2] == "-" {
				inc = -inc
			}
		}
		for i := range n + 1 {
			x := v + float64(i)*inc
			out = append(out, &x)
			last = x
		}
	}
	return out
}

func (s *script) freeze(from, to time.Time) {
	ivs, err := Assemble(s.series, from, to, s.step)
	if err != nil {
		s.err = err
		return
	}
	f, err := Freeze(s.cfg, History{Intervals: func(yield func(*Interval) bool) {
		for i := range ivs {
			if !yield(&ivs[i]) {
				return
			}
		}
	}, ErrorsEverSeen: s.seen})
	s.frozen, s.err, s.from = &f, err, to
}

func (s *script) begin(words []string) {
	if s.frozen == nil {
		f, err := Freeze(s.cfg, History{ErrorsEverSeen: s.seen})
		if s.err = err; err != nil {
			return
		}
		s.frozen = &f
	}
	if s.judge == nil {
		s.judge, s.err = New(s.cfg, *s.frozen, Options{Queries: map[string]string{"errors": "the errors query"}})
		if s.err != nil {
			return
		}
	}
	ctx := StepContext{Start: s.from, Index: int(s.number(words[0]))}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "weight":
			ctx.Weight = s.number(v)
		case "gate":
			ctx.Gate = Duration(s.duration(v))
		case "at":
			ctx.Start = s.at(v)
		case "pods":
			ctx.CanaryPods = int(s.number(v))
		default:
			s.fatal("unknown setting %q", k)
		}
	}
	s.err = s.judge.Begin(ctx)
}

func (s *script) fold(from, to time.Time) {
	ivs, err := Assemble(s.series, from, to, s.step)
	if err != nil {
		s.err = err
		return
	}
	for i := range ivs {
		if s.err = s.judge.Add(&ivs[i]); s.err != nil {
			return
		}
		if d, _, _ := s.judge.Outcome(); d == Rollback { // nobody asks again
			s.from = ivs[i].End
			return
		}
	}
	s.from = to
}

// restore saves the judge's state and goes on with a new judge made of it.
func (s *script) restore() {
	state, err := s.judge.State()
	if err != nil {
		s.fatal("%v", err)
	}
	before := s.judge.Hash()
	j, err := Restore(s.cfg, *s.frozen, s.judge.opts, state)
	if err != nil {
		s.fatal("%v", err)
	}
	if j.Hash() != before {
		s.fatal("the restored judge has another hash")
	}
	s.judge = j
}

func (s *script) expect(words []string, line string) {
	if words[0] == "error" {
		want := strings.Trim(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "expect error")), `"`)
		if s.err == nil || !strings.Contains(s.err.Error(), want) {
			s.fatal("error %v, want %q in it", s.err, want)
		}
		s.err = nil
		return
	}
	v := s.judge.Verdict()
	switch words[0] {
	case "check": // check METRIC [ROUTE] STATE
		route, state := "", words[2]
		if len(words) > 3 {
			route, state = words[2], words[3]
		}
		i := slices.IndexFunc(v.Checks, func(c Check) bool { return c.Metric == words[1] && c.Route == route })
		if i < 0 {
			s.fatal("no check %s %q", words[1], route)
		}
		if c := v.Checks[i]; string(c.State) != state {
			s.fatal("check %s %q is %s (%s), want %s", c.Metric, c.Route, c.State, c.Note, state)
		}
	case "no": // no problem
		if len(v.Problems) > 0 {
			s.fatal("problems %v, want none", v.Problems)
		}
	case "problem": // problem KIND TRACK
		if !slices.ContainsFunc(v.Problems, func(p Problem) bool { return string(p.Kind) == words[1] && p.Track.String() == words[2] }) {
			s.fatal("problems %v, want %s of %s", v.Problems, words[1], words[2])
		}
	case "blamed":
		want := strings.Join(words[1:], " ")
		if !slices.Contains(v.Attributed, want) {
			s.fatal("blamed %q, want %q", v.Attributed, want)
		}
	case "before": // the fold ended before T
		if !v.At.Before(s.at(words[1])) {
			s.fatal("decided at %s after the start of time", v.At.Sub(epoch))
		}
	case "say":
		want := strings.TrimPrefix(strings.TrimSpace(line), "expect say ")
		if !strings.Contains(v.Message, want) {
			s.fatal("it says %q, want %q in it", v.Message, want)
		}
	case "result": // result error_rate|p99 passed|failed|none
		got := "none"
		passed := func(p bool) string {
			if p {
				return "passed"
			}
			return "failed"
		}
		if r := v.Results.ErrorRate; words[1] == "error_rate" && r != nil {
			got = passed(r.Passed)
		}
		if r := v.Results.P99Latency; words[1] == "p99" && r != nil {
			got = passed(r.Passed)
		}
		if got != words[2] {
			s.fatal("result %s %s, want %s", words[1], got, words[2])
		}
	default:
		if string(v.Decision) != words[0] || string(v.Reason) != words[1] {
			s.fatal("%s/%s (%s), want %s/%s", v.Decision, v.Reason, v.Message, words[0], words[1])
		}
	}
	for _, c := range v.Checks {
		if math.IsNaN(c.LogEvidence) || c.Interval != nil && math.IsNaN(c.Interval.Low+c.Interval.High) {
			s.fatal("check %s %q holds NaN", c.Metric, c.Route)
		}
	}
}
