//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"fairlead.dev/fairlead/internal/alerting/alertmanagertest"
	"fairlead.dev/fairlead/internal/rollout"
)

// A person at the page holds a rollout, lets it go on, approves a step and aborts
// another rollout, in a real cluster; the audit has all of it.
func TestThePageActsOnARealRollout(t *testing.T) {
	t.Parallel()
	node := addShopImage(t)
	am := alertmanagertest.Start(t)
	s := &canaryScene{scene: newScene(t, 4), app: "shop", log: &safeBuffer{}}
	s.collector = nil
	s.kubeconfig = s.identity()
	s.startWatched(am, node, "--kubeconfig", s.kubeconfig)
	s.installCRDs()
	s.openShop("OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + writerToken)
	s.startController()
	s.apply(s.canaryRelease("  steps: [{weight: 5, approval: true}, {weight: 100}]\n  deadline: 5m\n"))
	s.await("the controller to see that there is nothing to do", 20*time.Second, func() bool { return s.get().Status.Reason == "NothingToDo" })
	s.apply(s.deployment("shop-canary", "canary", "2.0.0", -1))
	s.await("the step to wait for a person", time.Minute, func() bool { return s.get().Status.Reason == string(rollout.ReasonApproval) })
	v := s.visitor()
	id := s.get().Status.RolloutID
	page := "/canaries/" + url.PathEscape(id)

	// Without a session, and with a form that is not of the session, nothing moves.
	if code, _ := v.post("/actions/approve", url.Values{"rollout": {id}, "step": {"1"}}); code != http.StatusUnauthorized {
		t.Errorf("approve without a session: %d", code)
	}
	v.post("/login", url.Values{"token": {writerToken}})
	if code, body := v.post("/actions/approve", url.Values{"rollout": {id}, "step": {"1"}}); code != http.StatusForbidden || !strings.Contains(body, "not of this session") {
		t.Errorf("a forged form: %d", code)
	}
	if cr := s.get(); cr.Annotations["fairlead.dev/approve"] != "" {
		t.Fatalf("approved by a forged form: %v", cr.Annotations)
	}

	v.act(page, "pause")
	s.await("the pause", 20*time.Second, func() bool { return s.get().Status.Reason == "Paused" })
	v.act(page, "resume")
	s.await("the end of the pause", 20*time.Second, func() bool { return s.get().Status.Reason == string(rollout.ReasonApproval) })
	v.act(page, "approve")
	s.awaitPhase("Succeeded", 90*time.Second)

	s.apply(s.deployment("shop-canary", "canary", "3.0.0", -1))
	s.await("the second rollout to wait", time.Minute, func() bool {
		st := s.get().Status
		return st.RolloutID != id && st.Reason == string(rollout.ReasonApproval)
	})
	v.act("/canaries/"+url.PathEscape(s.get().Status.RolloutID), "abort")
	if cr := s.awaitPhase("RolledBack", time.Minute); cr.Status.Reason != "Aborted" {
		t.Errorf("reason %s, want Aborted", cr.Status.Reason)
	}

	v.act("/alerts", "test-fire")
	s.await("the test in the Alertmanager", 10*time.Second, func() bool { return len(am.Active()) == 1 && am.Active()[0].Labels["test"] == "true" })

	_, audit := v.get("/api/v1/audit")
	for _, want := range []string{"pages.approve", "pages.pause", "pages.resume", "pages.abort", "on-call", "not of this session", id} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit does not have %q: %s", want, audit)
		}
	}
	t.Logf("audit:\n%s", audit)
}

// visitor is somebody with a browser's cookies and no JavaScript.
type visitor struct {
	s *canaryScene
	http.Client
}

func (s *canaryScene) visitor() *visitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{s, http.Client{Jar: jar}}
}

func (v *visitor) send(req *http.Request, err error) (int, string) {
	v.s.t.Helper()
	if err != nil {
		v.s.t.Fatal(err)
	}
	resp, err := v.Do(req)
	if err != nil {
		v.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (v *visitor) get(path string) (int, string) {
	v.s.t.Helper()
	return v.send(http.NewRequest(http.MethodGet, v.s.server+path, nil))
}

func (v *visitor) post(path string, form url.Values) (int, string) {
	v.s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, v.s.server+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.send(req, err)
}

// act waits until the page has a form for the action, and sends it.
func (v *visitor) act(page, action string) {
	v.s.t.Helper()
	var form url.Values
	v.s.await("the page to offer "+action, 20*time.Second, func() bool {
		_, body := v.get(page)
		form = formOf(body, "/actions/"+action)
		return form != nil
	})
	if code, body := v.post("/actions/"+action, form); code != http.StatusOK {
		v.s.t.Errorf("%s: %d\n%s", action, code, body)
	}
}

// formOf returns what the page's first form for an action would send, nil
// without one.
func formOf(page, action string) url.Values {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil
	}
	for n := range doc.Descendants() {
		if n.Data != "form" || attribute(n, "action") != action {
			continue
		}
		values := url.Values{}
		for in := range n.Descendants() {
			if name := attribute(in, "name"); name != "" {
				values.Set(name, attribute(in, "value"))
			}
		}
		return values
	}
	return nil
}

func attribute(n *html.Node, key string) string {
	for _, one := range n.Attr {
		if one.Key == key {
			return one.Val
		}
	}
	return ""
}
