package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/helmrollout"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// acting is a browser on the page of a canary that waits for an approval, in a
// cluster that holds it.
type acting struct {
	t       *testing.T
	base    string
	browser http.Client
	cluster client.Client
	refuse  error // what the cluster answers a patch
}

const actingID = "77aa-search-3"

func newActing(t *testing.T) *acting {
	t.Setenv("READER", "reader-0123456789")
	t.Setenv("WRITER", "writer-0123456789")
	a := &acting{t: t}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cr := &v1alpha1.CanaryRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "search"}}
	cr.Spec.Steps = []v1alpha1.Step{{Weight: 5}, {Weight: 25}, {Weight: 50, Approval: true}, {Weight: 100}}
	cr.Status = v1alpha1.CanaryReleaseStatus{RolloutID: actingID, Phase: string(rollout.PhaseProgressing), Step: "3/4"}
	a.cluster = helmrollout.Store{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(cr).WithStatusSubresource(cr).
		WithInterceptorFuncs(interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
			if a.refuse != nil {
				return a.refuse
			}
			return c.Patch(ctx, obj, p, opts...)
		}}).Build()}
	var sender webtest.Sender
	a.base, sender = startIn(t, a.cluster, func(c *config.Server) {
		c.Auth.Tokens = []config.Token{{Name: "reader", Env: "READER"}, {Name: "writer", Env: "WRITER", Access: []string{"ingest", "read", "write"}}}
	})
	sender.Token = "writer-0123456789"
	now := time.Now()
	traffic := webtest.Traffic{Service: "search", Canary: "8.1.0", Stable: "8.0.7", Start: now.Add(-14 * time.Minute), End: now}
	record := traffic.Record(actingID, now, rollout.PhaseProgressing, 2, rollout.DecisionPromote, "passed", nil)
	record.Reason = rollout.ReasonApproval
	if err := sender.Rollouts(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.browser.Jar = jar
	return a
}

func (a *acting) visit(method, path string, form url.Values) (int, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := a.browser.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// form is what the page's form for an action would send.
func (a *acting) form(action string) url.Values {
	a.t.Helper()
	_, body := a.visit("GET", "/canaries/"+actingID, nil)
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	attr := func(n *html.Node, key string) string {
		for _, one := range n.Attr {
			if one.Key == key {
				return one.Val
			}
		}
		return ""
	}
	for n := range doc.Descendants() {
		if n.Data != "form" || attr(n, "action") != "/actions/"+action {
			continue
		}
		values := url.Values{}
		for in := range n.Descendants() {
			if in.Data == "input" {
				values.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		return values
	}
	a.t.Fatalf("the page has no form for %s:\n%s", action, words(body))
	return nil
}

func (a *acting) release() *v1alpha1.CanaryRelease {
	a.t.Helper()
	var cr v1alpha1.CanaryRelease
	if err := a.cluster.Get(a.t.Context(), client.ObjectKey{Namespace: "shop", Name: "search"}, &cr); err != nil {
		a.t.Fatal(err)
	}
	return &cr
}

func TestThePageActsOnARollout(t *testing.T) {
	a := newActing(t)
	a.visit("POST", "/login", url.Values{"token": {"writer-0123456789"}})
	for _, action := range []string{"approve", "pause", "abort"} {
		if code, body := a.visit("POST", "/actions/"+action, a.form(action)); code != 200 {
			t.Errorf("%s: %d %s", action, code, words(body))
		}
	}
	cr := a.release()
	if got := cr.Annotations[v1alpha1.AnnotationApprove]; got != actingID+"/3" {
		t.Errorf("approved %q", got)
	}
	if got := cr.Annotations[v1alpha1.AnnotationAbort]; got != actingID {
		t.Errorf("aborted %q", got)
	}
	if !cr.Spec.Pause {
		t.Error("not paused")
	}
	resume := a.form("pause") // the record does not say that it is paused yet
	if code, _ := a.visit("POST", "/actions/resume", resume); code != 200 || a.release().Spec.Pause {
		t.Errorf("resume: %d", code)
	}
	_, audit := a.visit("GET", "/api/v1/audit", nil)
	for _, want := range []string{"pages.approve", "pages.pause", "pages.resume", "pages.abort", `"writer"`} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit does not say %s: %s", want, audit)
		}
	}
}

func TestThePageActsForWritersAlone(t *testing.T) {
	a := newActing(t)
	a.visit("POST", "/login", url.Values{"token": {"reader-0123456789"}})
	if _, body := a.visit("GET", "/canaries/"+actingID, nil); strings.Contains(body, "/actions/abort") || !strings.Contains(words(body), "Sign in with a token that may write, or run:") {
		t.Errorf("a reader's page:\n%s", words(body))
	}
	forged := url.Values{"rollout": {actingID}, "step": {"3"}}
	if code, _ := a.visit("POST", "/actions/approve", forged); code != 403 {
		t.Errorf("by a reader: %d", code)
	}
	a.visit("POST", "/login", url.Values{"token": {"writer-0123456789"}})
	if code, body := a.visit("POST", "/actions/approve", forged); code != 403 || !strings.Contains(body, "not of this session") {
		t.Errorf("without the form's token: %d", code)
	}
	if cr := a.release(); len(cr.Annotations) != 0 || cr.Spec.Pause {
		t.Errorf("wrote %v, pause %v", cr.Annotations, cr.Spec.Pause)
	}
}

func TestThePageSaysWhyAnActionWasRefused(t *testing.T) {
	a := newActing(t)
	a.visit("POST", "/login", url.Values{"token": {"writer-0123456789"}})
	change := func(f func(*v1alpha1.CanaryReleaseStatus)) {
		t.Helper()
		cr := a.release()
		f(&cr.Status)
		if err := a.cluster.Status().Update(t.Context(), cr); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		action string
		status func(*v1alpha1.CanaryReleaseStatus)
		refuse error
		code   int
		says   string
	}{
		{"approve", func(s *v1alpha1.CanaryReleaseStatus) { s.Step = "4/4" }, nil, 409, "at step 4/4 by now"},
		{"abort", func(s *v1alpha1.CanaryReleaseStatus) { s.Phase = string(rollout.PhaseSucceeded) }, nil, 409, "nothing to abort: the rollout is Succeeded"},
		{"pause", func(s *v1alpha1.CanaryReleaseStatus) { s.RolloutID = "another" }, nil, 409, "is not the one that runs there now, which is another"},
		{"pause", nil, apierrors.NewForbidden(schema.GroupResource{Resource: "canaryreleases"}, "search", errors.New("no")), 502, "the verb patch on canaryreleases.fairlead.dev"},
	} {
		before := a.release().Status
		if tc.status != nil {
			change(tc.status)
		}
		a.refuse = tc.refuse
		code, body := a.visit("POST", "/actions/"+tc.action, a.form(tc.action))
		if code != tc.code || !strings.Contains(html.UnescapeString(words(body)), tc.says) {
			t.Errorf("%s: %d, want %d and %q:\n%s", tc.action, code, tc.code, tc.says, words(body))
		}
		a.refuse = nil
		change(func(s *v1alpha1.CanaryReleaseStatus) { *s = before })
	}
	if cr := a.release(); len(cr.Annotations) != 0 || cr.Spec.Pause {
		t.Errorf("wrote %v, pause %v", cr.Annotations, cr.Spec.Pause)
	}
}
