package alerting

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/store/alerts"
	"fairlead.dev/fairlead/internal/store/audit"
)

// ErrUnknownRule is returned for the test of a rule that there is not.
var ErrUnknownRule = errors.New("no such alert")

// ErrInput is returned for a silence that cannot be used.
var ErrInput = errors.New("cannot be used")

// ErrNotFound is returned for a silence that there is not, or that is over.
var ErrNotFound = alerts.ErrNotFound

// testLabel marks test alerts.
const testLabel = "test"

// Test tells every receiver an alert of the rule, marked as a test, now and
// past the queue, and returns how that went for each. who is recorded.
func (e *Engine) Test(ctx context.Context, rule, who string) ([]TestResult, error) {
	i := slices.IndexFunc(alert.Rules(), func(r alert.Rule) bool { return strings.EqualFold(string(r), rule) })
	if i < 0 {
		return nil, fmt.Errorf("%w: %q: want one of %v", ErrUnknownRule, rule, alert.Rules())
	}
	now := e.o.Now()
	a := e.sample(alert.Rules()[i], now)
	if err := e.o.Audit.Add(ctx, audit.Entry{At: now, Who: who, Action: "alert.test", Subject: string(a.Rule),
		Detail: fmt.Sprintf("told to %d receivers", len(e.o.Receivers))}); err != nil {
		return nil, err
	}
	e.o.Logger.Info("test alert", "rule", a.Rule, "by", who)
	m := e.Message(a)
	m.EndsAt = now.Add(5 * time.Minute) // an Alertmanager ends it by itself
	out := make([]TestResult, len(e.o.Receivers))
	var wg sync.WaitGroup
	for i, r := range e.o.Receivers {
		wg.Go(func() {
			began := time.Now()
			err := r.Send(ctx, m)
			out[i] = TestResult{Receiver: r.Name(), Kind: string(r.Kind()), Delivered: err == nil, Seconds: time.Since(began).Seconds()}
			outcome := outcomeDelivered
			if err != nil {
				out[i].Error, outcome = err.Error(), outcomeFailed
			}
			e.stats.delivery(r.Name(), outcome)
		})
	}
	wg.Wait()
	return out, nil
}

// sample is an alert as the rule would give it.
func (e *Engine) sample(r alert.Rule, now time.Time) alert.Alert {
	t := e.o.Thresholds
	a := alert.Alert{
		Rule: r, Severity: string(notify.SeverityInfo), State: alert.StateFiring, Since: now, FiringSince: now, Unit: alert.UnitSeconds,
		Labels:      map[string]string{testLabel: "true", alert.LabelNamespace: "test", alert.LabelRelease: "test"},
		Summary:     "Test of the alert " + string(r) + ": nothing is wrong",
		Description: "Somebody asked fairlead to send this. It would fire when " + t.Describe(r) + ".",
	}
	switch r {
	case alert.RollbackRateHigh:
		a.Unit, a.Threshold, a.Value = alert.UnitRatio, t.RollbackRate, t.RollbackRate+0.05
		delete(a.Labels, alert.LabelRelease)
	case alert.DeploymentsFailing:
		a.Unit, a.Threshold, a.Value = alert.UnitCount, float64(t.Failures), float64(t.Failures+1)
	case alert.ReleaseStuck:
		a.Threshold, a.Value = t.StuckAfter.Seconds(), t.StuckAfter.Seconds()+60
	case alert.AnalysisNoData:
		a.Threshold, a.Value = t.NoDataAfter.Seconds(), t.NoDataAfter.Seconds()+60
		a.Labels = map[string]string{testLabel: "true", alert.LabelCanaryNS: "test", alert.LabelCanary: "test", alert.LabelService: "test"}
	default:
		a.Threshold, a.Value = 60, 90
	}
	return a
}

// Silence keeps a silence and returns it with its id. StartsAt is now when it
// is zero. who is recorded.
func (e *Engine) Silence(ctx context.Context, s alert.Silence, who string) (alert.Silence, error) {
	now := e.o.Now().UTC()
	if s.StartsAt.IsZero() {
		s.StartsAt = now
	}
	if err := s.Check(now); err != nil {
		return s, fmt.Errorf("silence %w: %w", ErrInput, err)
	}
	s.ID, s.CreatedBy = strings.ToLower(rand.Text()[:12]), who
	if err := e.o.Store.AddSilence(ctx, s); err != nil {
		return s, err
	}
	return s, e.recordSilence(ctx, s, who, "alert.silence", now)
}

// Unsilence ends a silence, or returns [ErrNotFound]. who is recorded.
func (e *Engine) Unsilence(ctx context.Context, id, who string) (alert.Silence, error) {
	now := e.o.Now().UTC()
	s, err := e.o.Store.EndSilence(ctx, id, now)
	if err != nil {
		return s, err
	}
	e.Changed() // what fires is told now
	return s, e.recordSilence(ctx, s, who, "alert.unsilence", now)
}

func (e *Engine) recordSilence(ctx context.Context, s alert.Silence, who, action string, now time.Time) error {
	matchers := make([]string, 0, len(s.Matchers))
	for _, m := range s.Matchers {
		matchers = append(matchers, m.String())
	}
	detail := strings.Join(matchers, ", ") + " until " + s.EndsAt.UTC().Format(time.RFC3339)
	if s.Comment != "" {
		detail += ": " + s.Comment
	}
	e.o.Logger.Info(action, "id", s.ID, "by", who, "detail", detail)
	return e.o.Audit.Add(ctx, audit.Entry{At: now, Who: who, Action: action, Subject: s.ID, Detail: detail})
}
