package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/rollout"
)

const (
	// askAgain is how soon a webhook that gave no answer is asked again.
	askAgain = 10 * time.Second
	// tellTimes is how often a webhook is told of a rollback before it is given up.
	tellTimes = 3
)

// hookCall is what a webhook is sent.
type hookCall struct {
	RolloutID     string            `json:"rolloutID"`
	TraceID       string            `json:"traceID"`
	Namespace     string            `json:"namespace"`
	Name          string            `json:"name"`
	Service       string            `json:"service"`
	Webhook       string            `json:"webhook"`
	Stage         string            `json:"stage"`
	Step          int               `json:"step"` // from 1
	Weight        int32             `json:"weight"`
	CanaryVersion string            `json:"canaryVersion,omitempty"`
	StableVersion string            `json:"stableVersion,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Message       string            `json:"message,omitempty"`
	Verdict       *v1alpha1.Verdict `json:"verdict,omitempty"`
}

// hooks calls the webhooks of rollouts.
type hooks struct {
	client client.Client
	reader client.Reader // past the cache: Secrets are not watched
	http   *http.Client
	now    func() time.Time

	mu    sync.Mutex
	asked map[types.NamespacedName]*asked
}

// asked is what is known of one stage of one step beside the status: a
// webhook that has answered is not called again when the write of its answer
// met a conflict, and one that gave none is not called before its time,
// whatever else wakes the reconciler.
type asked struct {
	of    string
	times int             // in vain
	next  time.Time       // not before it
	said  map[string]bool // by webhook: a yes
}

func newHooks(c client.Client, reader client.Reader) *hooks {
	return &hooks{
		client: c, reader: reader, now: time.Now, asked: map[types.NamespacedName]*asked{},
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

func (h *hooks) forget(key types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, key)
}

// about is what was asked for a stage of a step of a rollout.
func (h *hooks) about(cr *v1alpha1.CanaryRelease, a rollout.Action) *asked {
	key, of := client.ObjectKeyFromObject(cr), fmt.Sprintf("%s %s %d", cr.Status.RolloutID, a.Stage, a.State.Step)
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.asked[key]
	if t == nil || t.of != of {
		t = &asked{of: of, said: map[string]bool{}}
		h.asked[key] = t
	}
	return t
}

var stages = []rollout.Stage{rollout.StageBeforeStep, rollout.StageGate, rollout.StagePromotion, rollout.StageAfterRollback}

// answers are what the webhooks have said so far; none configured is a yes.
func (h *hooks) answers(cr *v1alpha1.CanaryRelease) map[rollout.Stage]rollout.Answer {
	out := map[rollout.Stage]rollout.Answer{}
	for _, stage := range stages {
		out[stage] = rollout.AnswerPass
		for _, w := range cr.Spec.Webhooks {
			if w.Stage == string(stage) {
				out[stage] = rollout.AnswerNone
			}
		}
		if p := cr.Status.Progress; p != nil && out[stage] == rollout.AnswerNone && p.Answers[string(stage)] != "" {
			out[stage] = rollout.Answer(p.Answers[string(stage)])
		}
	}
	return out
}

// call asks the webhooks of a stage and keeps what they say in the status. It
// returns when to ask again; 0 = they have answered.
func (h *hooks) call(ctx context.Context, cr *v1alpha1.CanaryRelease, a rollout.Action) (time.Duration, error) {
	t := h.about(cr, a)
	if early := t.next.Sub(h.now()); early > 0 {
		return early, nil
	}
	answer, problem := rollout.AnswerPass, ""
	for i := range cr.Spec.Webhooks {
		w := &cr.Spec.Webhooks[i]
		if w.Stage != string(a.Stage) {
			continue
		}
		yes, known := t.said[w.Name]
		if !known {
			var err error
			if yes, err = h.post(ctx, cr, w, a); err != nil {
				if answer == rollout.AnswerPass {
					answer, problem = rollout.AnswerNone, fmt.Sprintf("webhook %s: %v", w.Name, err)
				}
				continue
			}
			t.said[w.Name] = yes
		}
		if !yes {
			answer = rollout.AnswerFail
		}
	}
	if answer == rollout.AnswerNone {
		t.times++
		if a.Stage != rollout.StageAfterRollback || t.times < tellTimes {
			t.next = h.now().Add(askAgain)
			before := cr.Status.Message
			cr.Status.Message = cut(a.Message + ": no answer yet: " + problem)
			if before != cr.Status.Message {
				return askAgain, h.client.Status().Update(ctx, cr, client.FieldOwner(fieldOwner))
			}
			return askAgain, nil
		}
		answer = rollout.AnswerFail // nobody waits for it: the rollback is done
	}
	if cr.Status.Progress.Answers == nil {
		cr.Status.Progress.Answers = map[string]string{}
	}
	cr.Status.Progress.Answers[string(a.Stage)] = string(answer)
	return 0, h.client.Status().Update(ctx, cr, client.FieldOwner(fieldOwner))
}

// post asks one webhook: 2xx is a yes, 4xx a no, anything else no answer.
func (h *hooks) post(ctx context.Context, cr *v1alpha1.CanaryRelease, w *v1alpha1.Webhook, a rollout.Action) (bool, error) {
	call := hookCall{
		RolloutID: cr.Status.RolloutID, TraceID: cr.Status.TraceID, Namespace: cr.Namespace, Name: cr.Name, Service: cr.Spec.Service,
		Webhook: w.Name, Stage: w.Stage, Step: a.State.Step + 1, CanaryVersion: cr.Status.CanaryVersion, StableVersion: cr.Status.StableVersion,
		Reason: string(a.State.Reason), Message: a.State.Message, Verdict: cr.Status.Verdict,
	}
	if a.State.Step < len(cr.Spec.Steps) {
		call.Weight = cr.Spec.Steps[a.State.Step].Weight
	}
	body, err := json.Marshal(call)
	if err != nil {
		return false, err
	}
	timeout := notify.DefaultTimeout
	if w.Timeout != nil && w.Timeout.Duration > 0 {
		timeout = min(w.Timeout.Duration, time.Minute)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "fairlead")
	if w.Secret != nil {
		key, err := h.key(ctx, cr.Namespace, w.Secret)
		if err != nil {
			return false, err
		}
		notify.Sign(req.Header, key, body, h.now())
	}
	resp, err := h.http.Do(req)
	if err != nil {
		var outer *url.Error // names the URL, which may be a secret
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return false, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // what can be read of it
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return true, nil
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout:
		return false, nil
	}
	return false, fmt.Errorf("%s %s", resp.Status, strings.Join(strings.Fields(string(text)), " "))
}

func (h *hooks) key(ctx context.Context, namespace string, ref *v1alpha1.SecretKey) ([]byte, error) {
	var secret corev1.Secret
	if err := h.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret); err != nil {
		return nil, fmt.Errorf("read its key: %w", err)
	}
	key, ok := secret.Data[ref.Key]
	if !ok {
		return nil, fmt.Errorf("read its key: Secret %s has no key %s", ref.Name, ref.Key)
	}
	return key, nil
}
