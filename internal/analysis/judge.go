package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

// ErrOverlap says that an interval starts before the last one ended: its
// increments would be used twice, and evidence would be invented.
var ErrOverlap = errors.New("interval overlaps the one before it")

// ErrNoStep says that samples were added before Begin.
var ErrNoStep = errors.New("no step has begun")

// Options are what a Judge says about its subject beside the figures.
type Options struct {
	// Queries are Samples.Queries, copied into the checks.
	Queries map[string]string
}

// Judge folds the samples of one rollout. Begin says that a step has begun, Add
// folds an interval, Verdict says what is known. It is not safe for concurrent
// use. A rollout has one Judge: a new one for the same samples would forget
// what the old one has spent, and what it had shown.
type Judge struct {
	cfg    Config
	frozen Frozen
	opts   Options

	rows    []string // route per row, "other" last
	rowOf   map[string]int
	slow    []slowMetric
	bounds  [][]rowBound // [slow metric][row]
	open    bool         // some bounds are not chosen yet
	tests   []test
	seq     scratch
	scratch tally

	st state
}

// state is everything of a Judge that samples have changed.
type state struct {
	Step   StepContext `json:"step"`
	Begun  bool        `json:"begun"`
	Last   time.Time   `json:"last"`  // end of the newest interval
	First  time.Time   `json:"first"` // start of the first one
	Frozen string      `json:"frozen"`

	Requests     [2]float64 `json:"requests"`     // since the first interval
	StepRequests [2]float64 `json:"stepRequests"` // since the step began
	StepErrors   [2]float64 `json:"stepErrors"`
	StepSeconds  float64    `json:"stepSeconds"`
	Missing      [2]int     `json:"missing"` // intervals in a row without any series of the track
	ErrorsSeen   bool       `json:"errorsSeen"`
	Unlabelled   bool       `json:"unlabelled,omitempty"`
	Problems     []Problem  `json:"problems,omitempty"` // of the newest intervals
	ProblemsAt   time.Time  `json:"problemsAt"`

	Window []windowed                `json:"window"`
	Rates  []rate                    `json:"rates"` // stable's error rate per row, predicted
	Rate   rate                      `json:"rate"`
	NI     sequential.NonInferiority `json:"ni"`
	Tests  []testState               `json:"tests"`
	// LeaveOut is of errors and, after that, of each latency metric.
	LeaveOut  []leaveOut           `json:"leaveOut"`
	Peers     []peers              `json:"peers"`     // likewise
	Agreement []float64            `json:"agreement"` // per test
	Bounds    [][]rowBound         `json:"bounds"`
	Warm      time.Time            `json:"warm"` // latency tests are frozen until then
	Warmups   int                  `json:"warmups"`
	Pods      int                  `json:"pods"` // of the canary
	Guards    map[string]GuardPair `json:"guards,omitempty"`
	Interim   int                  `json:"interim"` // interim looks done in this step
	Looks     int                  `json:"looks"`   // looks done at the gate's end and the extension's
	Minutes   []minute             `json:"minutes,omitempty"`
	Fails     int                  `json:"fails,omitempty"`

	Outcome outcome `json:"outcome"`
}

// outcome is what the newest interval led to.
type outcome struct {
	Decision   Decision `json:"decision"`
	Reason     Reason   `json:"reason"`
	Message    string   `json:"message"`
	Attributed []int    `json:"attributed,omitempty"` // tests
	Passed     bool     `json:"passed"`               // the excess is bounded as a promotion asks
	Upper      float64  `json:"upper"`
	Limit      float64  `json:"limit"`
	E          float64  `json:"e"`
}

// New returns a Judge without samples. The configuration must be valid, and
// frozen made by Freeze with the same configuration (of a new service with an
// empty History).
func New(cfg Config, frozen Frozen, opts Options) (*Judge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if n := len(frozen.Routes); n == 0 || frozen.Routes[n-1].Route != OtherRoute {
		return nil, errors.New("judge: frozen parameters without routes: make them with Freeze")
	}
	j := &Judge{cfg: cfg, frozen: frozen, opts: opts, rowOf: map[string]int{}}
	for i, r := range frozen.Routes {
		j.rows = append(j.rows, r.Route)
		j.rowOf[r.Route] = i
	}
	j.st.Frozen = frozen.Hash()
	j.st.ErrorsSeen = frozen.ErrorsEverSeen
	j.st.Outcome = outcome{Decision: Continue, Reason: ReasonInsufficientData, Message: "No samples yet.", E: 1, Upper: 1}
	j.prepareLatency()
	j.prepareTests()
	return j, nil
}

// Begin says that a step has begun: the weight was observed at s.Start. Steps
// follow one another; beginning the same step twice changes nothing.
func (j *Judge) Begin(s StepContext) error {
	switch {
	case s.Weight < 0 || s.Weight > 1:
		return fmt.Errorf("step %d: weight %g: want 0 to 1", s.Index, s.Weight)
	case s.Start.IsZero():
		return fmt.Errorf("step %d: no start", s.Index)
	case j.st.Begun && s.Index < j.st.Step.Index:
		return fmt.Errorf("step %d after step %d: a rollout's steps only rise", s.Index, j.st.Step.Index)
	case j.st.Begun && s.Index == j.st.Step.Index && s.Start.Equal(j.st.Step.Start):
		j.st.Step = s
		return nil
	}
	j.st.Step, j.st.Begun = s, true
	j.st.StepRequests, j.st.StepErrors, j.st.StepSeconds = [2]float64{}, [2]float64{}, 0
	j.st.Warm = s.Start.Add(j.warmUp())
	j.st.Warmups, j.st.Interim, j.st.Looks, j.st.Pods = 0, 0, 0, 0
	j.st.Guards = nil
	j.st.Minutes, j.st.Fails = nil, 0
	for i := range j.st.Tests {
		j.st.Tests[i].Step = sequential.Counts{}
	}
	for i := range j.st.LeaveOut {
		j.st.LeaveOut[i].begin()
		j.st.Peers[i].begin()
	}
	j.st.Outcome = outcome{Decision: Continue, Reason: ReasonInsufficientData, Message: "The step has just begun.", E: j.st.Outcome.E, Upper: 1}
	return nil
}

// Add folds one interval: it must not start before the one before it ended
// (ErrOverlap). Intervals before the step's start are counted in no test.
func (j *Judge) Add(iv *Interval) error {
	if !j.st.Begun {
		return ErrNoStep
	}
	if err := checkInterval(iv, j.st.Last); err != nil {
		return err
	}
	j.st.Last = iv.End
	if iv.Start.Before(j.st.Step.Start.Add(-time.Duration(j.cfg.ScrapeInterval) / 2)) {
		return nil
	}
	if j.st.First.IsZero() {
		j.st.First = iv.Start
	}
	t := j.tally(iv)
	j.observe(iv, t)
	j.push(t)
	j.accumulate(t)
	switch j.cfg.Rule {
	case RuleThreshold:
		j.st.Outcome = j.decideThreshold()
	case RuleKayenta:
		j.st.Outcome = j.decideKayenta(t)
	case RuleFlagger:
		j.st.Outcome = j.decideFlagger(t)
	default:
		j.st.Outcome = j.decideSequential()
	}
	return nil
}

// observe counts what every rule needs to know.
func (j *Judge) observe(iv *Interval, t *tally) {
	for tr := range t.requests {
		j.st.Requests[tr] += t.requests[tr]
		j.st.StepRequests[tr] += t.requests[tr]
		j.st.StepErrors[tr] += t.errors[tr]
		j.st.Missing[tr]++
		if t.seen[tr] {
			j.st.Missing[tr] = 0
		}
	}
	j.st.StepSeconds += t.end.Sub(t.start).Seconds()
	j.st.ErrorsSeen = j.st.ErrorsSeen || t.hasErrors
	j.st.Unlabelled = t.unlabelled
	if t.unlabelled {
		j.report(t.end, Problem{ProblemRoute, Canary, fmt.Sprintf("only one track's series have the label %s: routes are judged together", j.cfg.Routes.Label)})
	}
	for _, p := range iv.Problems {
		j.report(t.end, p)
	}
	if t.end.Sub(j.st.ProblemsAt) > time.Duration(j.cfg.Window) {
		j.st.Problems = nil
	}
}

// report keeps a problem for the verdicts of the next window.
func (j *Judge) report(at time.Time, p Problem) {
	j.st.ProblemsAt = at
	if len(j.st.Problems) < maxProblems && !slices.Contains(j.st.Problems, p) {
		j.st.Problems = append(j.st.Problems, p)
	}
}

// State returns the fold's state, for Restore.
func (j *Judge) State() ([]byte, error) {
	j.st.Bounds = j.bounds
	return json.Marshal(&j.st)
}

// Restore returns the Judge whose State it is given. Configuration and frozen
// parameters must be the same; other frozen parameters are refused.
func Restore(cfg Config, frozen Frozen, opts Options, data []byte) (*Judge, error) {
	j, err := New(cfg, frozen, opts)
	if err != nil {
		return nil, err
	}
	tests, absent, want := len(j.st.Tests), len(j.st.LeaveOut), j.st.Frozen
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("restore judge: %w", err)
	}
	if st.Frozen != want || len(st.Tests) != tests || len(st.Agreement) != tests || len(st.LeaveOut) != absent || len(st.Peers) != absent || len(st.Bounds) != len(j.bounds) {
		return nil, errors.New("restore judge: the state belongs to other frozen parameters or another configuration: fold the samples again")
	}
	j.st, j.bounds, j.open = st, st.Bounds, true
	return j, nil
}

// Hash digests the state: equal hashes, equal evidence. "" if it has none.
func (j *Judge) Hash() string {
	b, err := j.State()
	if err != nil {
		return ""
	}
	return digest(b)
}

// digest is a short digest for evidence.
func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:8])
}

// checkInterval refuses intervals that cannot be folded after last.
func checkInterval(iv *Interval, last time.Time) error {
	if !iv.End.After(iv.Start) {
		return fmt.Errorf("interval %s to %s: it does not end after it starts", iv.Start.Format(time.RFC3339), iv.End.Format(time.RFC3339))
	}
	if iv.Start.Before(last) {
		return fmt.Errorf("interval %s to %s, last end %s: %w", iv.Start.Format(time.RFC3339), iv.End.Format(time.RFC3339), last.Format(time.RFC3339), ErrOverlap)
	}
	return nil
}

// Outcome is the newest decision alone, with what it was traced to: cheaper than
// a Verdict for those who fold many intervals.
func (j *Judge) Outcome() (Decision, Reason, []string) {
	o := &j.st.Outcome
	return o.Decision, o.Reason, j.attributed()
}

// attributed names the tests that the harm was traced to.
func (j *Judge) attributed() []string {
	var names []string
	for _, i := range j.st.Outcome.Attributed {
		name := j.tests[i].metric
		if r := j.tests[i].row; r >= 0 {
			name += " " + j.rowName(r)
		}
		names = append(names, name)
	}
	return names
}
