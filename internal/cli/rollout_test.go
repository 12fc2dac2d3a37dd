package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/helmrollout"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/steer"
	"fairlead.dev/fairlead/internal/wrapper"
)

func testRollout(phase rollout.Phase, change ...func(*v1alpha1.CanaryRelease)) *v1alpha1.CanaryRelease {
	weight := int32(5)
	cr := &v1alpha1.CanaryRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}}
	cr.Spec.Steps = []v1alpha1.Step{{Weight: 5}, {Weight: 100}}
	cr.Status = v1alpha1.CanaryReleaseStatus{RolloutID: "u-abc-1", Phase: string(phase), Step: "1/2", Weight: &weight, Message: "at 5 %"}
	for _, f := range change {
		f(cr)
	}
	return cr
}

func reasoned(r rollout.Reason) func(*v1alpha1.CanaryRelease) {
	return func(cr *v1alpha1.CanaryRelease) { cr.Status.Reason = string(r) }
}

func TestWhatPeopleAskOfARollout(t *testing.T) {
	approval := func(cr *v1alpha1.CanaryRelease) { cr.Spec.Steps[0].Approval = true }
	for _, tc := range []struct {
		verb  string
		cr    *v1alpha1.CanaryRelease
		told  string // or the error
		wrote map[string]string
		pause bool
	}{
		{verb: "approve", cr: testRollout(rollout.PhaseProgressing, approval), told: "step 1/2 approved", wrote: map[string]string{v1alpha1.AnnotationApprove: "u-abc-1/1"}},
		{verb: "approve", cr: testRollout(rollout.PhaseProgressing), told: "nothing to approve: step 1/2 has no approval"},
		{verb: "approve", cr: testRollout(rollout.PhaseSucceeded, approval), told: "nothing to approve: the rollout is Succeeded"},
		{verb: "pause", cr: testRollout(rollout.PhaseProgressing), told: "paused at 5 %", pause: true},
		{verb: "resume", cr: testRollout(rollout.PhaseProgressing, func(cr *v1alpha1.CanaryRelease) { cr.Spec.Pause = true }), told: "goes on"},
		{verb: "resume", cr: testRollout(rollout.PhaseProgressing), told: "was not paused"},
		{verb: "abort", cr: testRollout(rollout.PhaseProgressing), told: "abort asked", wrote: map[string]string{v1alpha1.AnnotationAbort: "u-abc-1"}},
		{verb: "abort", cr: testRollout(rollout.PhasePromotionFailed), told: "abort asked", wrote: map[string]string{v1alpha1.AnnotationAbort: "u-abc-1"}},
		{verb: "abort", cr: testRollout(rollout.PhaseRolledBack), told: "nothing to abort: the rollout is RolledBack"},
		{verb: "abort", cr: testRollout(rollout.PhaseReturning), told: "too late to abort"},
		{verb: "retry", cr: testRollout(rollout.PhaseRolledBack), told: "tried again from the first step", wrote: map[string]string{v1alpha1.AnnotationRetry: "*"}},
		{verb: "retry", cr: testRollout(rollout.PhasePromotionFailed), told: "the promotion is tried again", wrote: map[string]string{v1alpha1.AnnotationRetry: "*"}},
		{verb: "retry", cr: testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonHold)), told: "as much time again", wrote: map[string]string{v1alpha1.AnnotationRetry: "*"}},
		{verb: "retry", cr: testRollout(rollout.PhaseProgressing), told: "nothing to try again: the rollout is Progressing"},
	} {
		t.Run(tc.verb+" "+tc.told, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := clientgoscheme.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			c := &rolloutCluster{store: helmrollout.Store{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(tc.cr).Build()}, namespace: "shop"}
			told, err := c.ask(t.Context(), "checkout", steer.Wishes[tc.verb])
			if err != nil {
				told = err.Error()
			}
			if !strings.Contains(told, tc.told) {
				t.Errorf("told %q, want %q", told, tc.told)
			}
			got, err := c.get(t.Context(), "checkout")
			if err != nil {
				t.Fatal(err)
			}
			if v := got.Annotations[v1alpha1.AnnotationRetry]; v != "" {
				if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
					t.Error(err)
				}
				got.Annotations[v1alpha1.AnnotationRetry] = "*"
			}
			if diff := cmp.Diff(tc.wrote, got.Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if got.Spec.Pause != tc.pause {
				t.Errorf("pause = %v, want %v", got.Spec.Pause, tc.pause)
			}
		})
	}
}

func TestOutcomesOfARollout(t *testing.T) {
	for _, tc := range []struct {
		reason string
		cr     *v1alpha1.CanaryRelease
		code   int
		done   bool
	}{
		{"promoted", testRollout(rollout.PhaseSucceeded), ExitOK, true},
		{"rolled back", testRollout(rollout.PhaseRolledBack), ExitRollback, true},
		{"stable is not ready, the canary serves", testRollout(rollout.PhasePromotionFailed), ExitContinue, true},
		{"held at the deadline", testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonHold)), ExitContinue, true},
		{"somebody else moves the weights", testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonRouteContested)), ExitContinue, true},
		{"a pause is waited for", testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonPaused)), 0, false},
		{"an approval is waited for", testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonApproval)), 0, false},
		{"rolling back is not yet rolled back", testRollout(rollout.PhaseRollingBack), 0, false},
		{"not begun", testRollout(rollout.PhaseIdle), 0, false},
	} {
		if code, done := outcome(tc.cr); code != tc.code || done != tc.done {
			t.Errorf("%s: outcome() = %d, %v, want %d, %v", tc.reason, code, done, tc.code, tc.done)
		}
	}
}

func TestProgressPrintsALineForAChange(t *testing.T) {
	var out bytes.Buffer
	p := newRolloutProgress(&out, wrapper.ProgressAuto, func() time.Time { return time.Unix(0, 0) })
	gate := func(message string) *v1alpha1.CanaryRelease {
		return testRollout(rollout.PhaseProgressing, reasoned(rollout.ReasonGate), func(cr *v1alpha1.CanaryRelease) { cr.Status.Message = message })
	}
	p.show(gate("the verdict is continue: 12 requests"))
	p.show(gate("the verdict is continue: 90 requests")) // a look, no change
	p.show(testRollout(rollout.PhaseRolledBack, func(cr *v1alpha1.CanaryRelease) {
		zero := int32(0)
		cr.Status.Weight, cr.Status.Message = &zero, "errors"
	}))
	want := "00:00:00 … checkout Progressing step 1/2 5 %: the verdict is continue: 12 requests\n00:00:00 ✗ checkout RolledBack step 1/2 0 %: errors\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
