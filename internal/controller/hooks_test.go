package controller

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/rollout"
)

// A webhook that has answered is not asked again when its answer could not be
// written, and one that gave none is asked again after askAgain, not when
// something else wakes the reconciler.
func TestWebhooksAreAskedNoMoreThanNeeded(t *testing.T) {
	var calls []string
	away := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		calls = append(calls, path.Base(req.URL.Path))
		if away && req.URL.Path == "/late" {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()

	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(2000, 0)
	cr := release("shop", now)
	cr.Spec.Webhooks = []v1alpha1.Webhook{
		{Name: "prompt", Stage: string(rollout.StageBeforeStep), URL: server.URL + "/prompt"},
		{Name: "late", Stage: string(rollout.StageBeforeStep), URL: server.URL + "/late"},
	}
	cr.Status.Progress = &v1alpha1.Progress{}
	conflicts := 0
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(cr).WithObjects(cr).WithInterceptorFuncs(interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			if conflicts > 0 {
				conflicts--
				return apierrors.NewConflict(schema.GroupResource{Resource: "canaryreleases"}, obj.GetName(), nil)
			}
			return c.SubResource(sub).Update(ctx, obj, opts...)
		},
	}).Build()
	h := newHooks(c, c)
	h.now = func() time.Time { return now }

	var seen v1alpha1.CanaryRelease
	ask := func(wantCalls []string, wantWait time.Duration, wantConflict bool) {
		t.Helper()
		calls = nil
		if err := c.Get(t.Context(), shop, &seen); err != nil {
			t.Fatal(err)
		}
		wait, err := h.call(t.Context(), &seen, rollout.Action{Kind: rollout.ActWebhook, Stage: rollout.StageBeforeStep})
		if apierrors.IsConflict(err) != wantConflict || err != nil && !wantConflict {
			t.Fatal(err)
		}
		if !slices.Equal(calls, wantCalls) || err == nil && wait != wantWait {
			t.Errorf("called %q and waits %s, want %q and %s", calls, wait, wantCalls, wantWait)
		}
	}
	ask([]string{"prompt", "late"}, askAgain, false)
	now = now.Add(4 * time.Second)
	ask(nil, askAgain-4*time.Second, false)
	away, conflicts = false, 1
	now = now.Add(6 * time.Second)
	ask([]string{"late"}, 0, true)
	ask(nil, 0, false)
	if err := c.Get(t.Context(), shop, &seen); err != nil {
		t.Fatal(err)
	}
	if got := h.answers(&seen)[rollout.StageBeforeStep]; got != rollout.AnswerPass {
		t.Errorf("the answer kept is %q", got)
	}

	seen.Status.Progress.Step = 1
	calls = nil
	if _, err := h.call(t.Context(), &seen, rollout.Action{Kind: rollout.ActWebhook, Stage: rollout.StageBeforeStep, State: rollout.State{Step: 1}}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(calls, []string{"prompt", "late"}) {
		t.Errorf("at the next step %q were called", calls)
	}
}
