package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/tracing"
)

// Prefix is where the handler's paths begin.
const Prefix = "/api/v1/judge"

// Options are what a Handler needs.
type Options struct {
	// Source answers for every service; requests cannot name another.
	Source analysis.Source
	// Traces explain rollbacks; nil for none.
	Traces tracing.Source
	// Now is the clock, time.Now by default.
	Now func() time.Time
	// Delay is how long after an interval's end its samples are asked for;
	// 5 s by default.
	Delay time.Duration
}

// maxSessions bounds how many rollouts are kept; the one that was not asked for
// the longest goes, and would be folded again.
const maxSessions = 1000

// Handler judges over HTTP. Where a rollout controller asks every few seconds,
// the fold is kept and only new samples are fetched; after a restart it is
// folded again from the canary's first request, to the same evidence.
type Handler struct {
	o   Options
	mux *http.ServeMux

	mu       sync.Mutex
	sessions map[string]*held
}

// held is a session and who may use it now.
type held struct {
	mu      sync.Mutex
	session *Session
	step    analysis.StepContext
	seen    time.Time // the canary's newest interval
	missing bool      // there was no canary when the session began
	why     *Report   // the rollback, explained once
	used    time.Time
}

// NewHandler returns the handler of:
//
//	GET, POST  /api/v1/judge                  a verdict
//	POST       /api/v1/judge/flagger/rollback  2xx when the canary harms
//	POST       /api/v1/judge/flagger/confirm   2xx when it may get more traffic
//	POST       /api/v1/judge/flagger/rollout   2xx unless it harms
func NewHandler(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Delay == 0 {
		o.Delay = 5 * time.Second
	}
	h := &Handler{o: o, mux: http.NewServeMux(), sessions: map[string]*held{}}
	for pattern, answer := range h.routes() {
		h.mux.HandleFunc(pattern, answer)
	}
	return h
}

func (h *Handler) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET " + Prefix:                      h.get,
		"POST " + Prefix:                     h.post,
		"POST " + Prefix + "/flagger/{hook}": h.flagger,
	}
}

// Patterns are the routes that the handler answers, as [http.ServeMux] has them.
func (h *Handler) Patterns() []string { return slices.Collect(maps.Keys(h.routes())) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	q, err := queryRequest(r.URL.Query())
	h.answer(w, r, q, err)
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request) {
	var q Request
	err := decode(r, &q)
	h.answer(w, r, q, err)
}

// answer writes the verdict as JSON: Argo Rollouts' web metric reads
// {$.decision}. Whatever the decision, the status is 200; that nothing could be
// asked is 502, which Argo counts as an error and not as a failure.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, q Request, err error) {
	var v Report
	if err == nil {
		v, err = h.Judge(r.Context(), q)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// flaggerPayload is what Flagger sends.
type flaggerPayload struct {
	Name         string            `json:"name"`
	Namespace    string            `json:"namespace"`
	Phase        string            `json:"phase"`
	Checksum     string            `json:"checksum"`
	CanaryWeight float64           `json:"canaryWeight"`
	Metadata     map[string]string `json:"metadata"`
}

// flagger answers Flagger's webhooks, whose only word is the status: the body
// becomes the text of its event.
func (h *Handler) flagger(w http.ResponseWriter, r *http.Request) {
	hook := r.PathValue("hook")
	var good func(analysis.Decision) bool
	switch hook {
	case "rollback": // a good answer stops the rollout
		good = func(d analysis.Decision) bool { return d == analysis.Rollback }
	case "confirm": // confirm-traffic-increase, confirm-promotion
		good = func(d analysis.Decision) bool { return d == analysis.Promote }
	case "rollout": // a bad answer counts as a failed check
		good = func(d analysis.Decision) bool { return d != analysis.Rollback }
	default:
		writeError(w, requestError{fmt.Errorf("no hook %q: want rollback, confirm or rollout", hook)})
		return
	}
	var p flaggerPayload
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, &p) // fields that newer versions send are welcome
	}
	if err != nil {
		writeError(w, requestError{fmt.Errorf("read Flagger's payload: %w", err)})
		return
	}
	values := url.Values{}
	for k, v := range p.Metadata {
		if !strings.HasSuffix(k, "Match") {
			values.Set(k, v)
			continue
		}
		for one := range strings.SplitSeq(v, ";") { // metadata has one value a key
			values.Add(k, strings.TrimSpace(one))
		}
	}
	q, err := queryRequest(values)
	if err == nil {
		if q.Weight == 0 {
			q.Weight = p.CanaryWeight
		}
		var v Report
		if v, err = h.Judge(r.Context(), q); err == nil {
			status := http.StatusOK
			if !good(v.Decision) {
				status = http.StatusPreconditionFailed
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s (%s): %s\n", v.Decision, v.Reason, v.Message)
			if v.Explanation != nil {
				fmt.Fprintln(w, v.Explanation.Summary)
			}
			return
		}
	}
	writeError(w, err)
}

// Judge folds what is new of the canary that the request names. A rollback comes
// with what the failed traces have in common.
func (h *Handler) Judge(ctx context.Context, q Request) (Report, error) {
	subject := Subject{Service: q.Service, CanaryVersion: q.Versions.Canary, StableVersion: q.Versions.Stable, Canary: q.Match.Canary, Stable: q.Match.Stable}
	if _, err := subject.Tracks(); err != nil {
		return Report{}, requestError{err}
	}
	switch {
	case !(q.Weight >= 0 && q.Weight <= 100):
		return Report{}, requestError{fmt.Errorf("weight = %g: want 0 (unknown) to 100 percent", q.Weight)}
	case q.Gate < 0:
		return Report{}, requestError{fmt.Errorf("gate = %s: want more than 0s", q.Gate)}
	}
	config, err := decodeAnalysis(q.Analysis)
	if err != nil {
		return Report{}, requestError{err}
	}
	now := h.o.Now()
	if q.Start.After(now) {
		return Report{}, requestError{fmt.Errorf("start = %s: is in the future", q.Start.Format(time.RFC3339))}
	}
	if q.Gate == 0 {
		q.Gate = analysis.Duration(config.MinAnalysisMinutes * float64(time.Minute))
	}
	kept, err := h.hold(q, config, subject)
	if err != nil {
		return Report{}, err
	}
	defer kept.mu.Unlock()
	if kept.session == nil {
		if err := h.open(ctx, kept, q.Start, config, subject); err != nil {
			return Report{}, err
		}
	}
	again, err := kept.look(ctx, q, now.Add(-h.o.Delay))
	if err == nil && again {
		if err = h.open(ctx, kept, q.Start, config, subject); err == nil {
			_, err = kept.look(ctx, q, now.Add(-h.o.Delay))
		}
	}
	if err != nil {
		return Report{}, err
	}
	v := kept.session.Judge().Verdict()
	from := kept.session.start
	if kept.missing {
		kept.session = nil // the canary may come any time, and begins then
	}
	if v.Decision != analysis.Rollback {
		return Report{Verdict: v}, nil
	}
	if kept.why == nil || kept.why.ExplanationError != "" {
		report := NewReport(ctx, v, Telemetry{Traces: h.o.Traces, Metrics: h.o.Source, Config: config}, subject, from, now, explain.Filter{})
		kept.why = &report
	}
	report := *kept.why
	report.Verdict = v
	return report, nil
}

// hold returns the place of the request's session, locked.
func (h *Handler) hold(q Request, config analysis.Config, subject Subject) (*held, error) {
	key, err := json.Marshal(struct {
		Subject Subject
		Config  analysis.Config
		Start   time.Time
	}{subject, config, q.Start})
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	one := h.sessions[string(key)]
	if one == nil {
		if len(h.sessions) >= maxSessions {
			h.evict()
		}
		one = &held{}
		h.sessions[string(key)] = one
	}
	one.used = h.o.Now()
	h.mu.Unlock()
	one.mu.Lock()
	return one, nil
}

// open begins the session anew, at the canary's first request where the request
// does not say when.
func (h *Handler) open(ctx context.Context, one *held, start time.Time, config analysis.Config, subject Subject) (err error) {
	found := true
	if start.IsZero() {
		now := h.o.Now()
		start, found, err = NewestStart(ctx, h.o.Source, config, subject, now)
		if err != nil {
			return err
		}
		if !found {
			start = now.Add(-time.Duration(config.Window))
		}
	}
	session, err := Open(ctx, h.o.Source, config, subject, start)
	if err != nil {
		return err
	}
	one.session, one.step, one.seen, one.missing, one.why = session, analysis.StepContext{}, time.Time{}, !found, nil
	return nil
}

// evict drops the session that was not used for the longest time.
func (h *Handler) evict() {
	oldest := ""
	for key, one := range h.sessions {
		if oldest == "" || one.used.Before(h.sessions[oldest].used) {
			oldest = key
		}
	}
	delete(h.sessions, oldest)
}

// look folds what is new. again says that another canary has come since: the
// session is of the one before.
func (one *held) look(ctx context.Context, q Request, to time.Time) (again bool, err error) {
	s := one.session
	want := analysis.StepContext{Weight: q.Weight / 100, Start: s.start, Gate: q.Gate}
	switch {
	case one.step.Start.IsZero():
		one.step = want
	case one.step.Weight != want.Weight:
		// The controller has moved the weight: what was served until now is of
		// the step before.
		if again, err := one.follow(ctx, to); again || err != nil {
			return again, err
		}
		want.Index, want.Start = one.step.Index+1, s.next
		one.step = want
	default:
		one.step.Gate = q.Gate
	}
	if err := s.Judge().Begin(one.step); err != nil {
		return false, requestError{err}
	}
	return one.follow(ctx, to)
}

func (one *held) follow(ctx context.Context, to time.Time) (again bool, err error) {
	for iv, err := range one.session.Intervals(ctx, to) {
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(iv.Cells, func(c analysis.Cell) bool { return c.Track == analysis.Canary }) {
			if !one.seen.IsZero() && iv.End.Sub(one.seen) > pause {
				return true, nil
			}
			one.seen = iv.End
		}
		if err := one.session.Judge().Add(iv); err != nil {
			return false, err
		}
	}
	return false, nil
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway // could not ask
	var bad requestError
	var setting *analysis.ConfigError
	if errors.As(err, &bad) || errors.As(err, &setting) {
		status = http.StatusBadRequest
	}
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client has gone: nobody is left to tell
}
