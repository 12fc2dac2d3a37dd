package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/explain"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/tracing"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// wantState checks that a panel of a page is in a state, and says so.
func wantState(t *testing.T, base, path, panel, kind, text string) {
	t.Helper()
	code, body := get(t, base+path)
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil || code != 200 {
		t.Fatalf("%s: %d %v", path, code, err)
	}
	var said []string
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || !has(n, "id", panel) {
			continue
		}
		for in := range n.Descendants() {
			class := strings.Fields(attrOf(in, "class"))
			if slices.Contains(class, "state") || slices.Contains(class, "calm") {
				one := strings.Join(class, " ") + ": " + words(textOf(in))
				said = append(said, one)
				if slices.Contains(class, kind) && strings.Contains(one, text) {
					return
				}
			}
		}
	}
	t.Errorf("panel %s of %s is not %s with %q, but %q", panel, path, kind, text, said)
}

func has(n *html.Node, key, value string) bool { return attrOf(n, key) == value }

func attrOf(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for in := range n.Descendants() {
		if in.Type == html.TextNode {
			b.WriteString(in.Data)
		}
	}
	return b.String()
}

func TestStatesOfAnEmptyServer(t *testing.T) {
	base, _ := start(t, nil)
	for _, tc := range []struct{ path, panel, kind, text string }{
		{"/", "latest", "off", "Not configured. No Helm operation has been reported yet."},
		{"/", "running", "calm", "No Helm operation runs now."},
		{"/", "canaries", "calm", "No canary runs now."},
		{"/", "attention", "calm", "no alert fires"},
		{"/releases", "frequency", "off", "No Helm operation has been reported yet."},
		{"/releases", "durations", "empty", "No data. No deployment ended"},
		{"/releases", "rate", "empty", "there is nothing to be a share of"},
		{"/releases", "events", "off", "No Kubernetes event has come in"},
		{"/canaries", "active", "off", "No rollout has been reported"},
		{"/health", "sources", "off", "Nothing has reported yet."},
	} {
		wantState(t, base, tc.path, tc.panel, tc.kind, tc.text)
	}
	base, _ = start(t, func(c *config.Server) { c.Alerts.Enabled = false })
	wantState(t, base, "/", "attention", "off", "The rules are not evaluated here.")
}

func TestStatesOfACanary(t *testing.T) {
	base, sender := start(t, nil)
	now := time.Now()
	traffic := webtest.Traffic{Service: "nowhere", Canary: "2.0.0", Stable: "1.0.0", Start: now.Add(-20 * time.Minute), End: now}
	verdict := json.RawMessage(`{"decision":"continue","reason":"insufficient_data","message":"Too few requests.","checks":[]}`)
	record := func(id string, at time.Time, change func(*rollout.Record)) string {
		t.Helper()
		r := traffic.Record(id, at, rollout.PhaseProgressing, 1, rollout.DecisionContinue, "insufficient_data", nil)
		r.WeightObserved, r.TrafficShare = nil, nil
		change(&r)
		if err := sender.Rollouts(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return "/canaries/" + id
	}
	explanation, err := json.Marshal(tracing.Explanation{Errors: explain.Report{Failing: 9, Groups: []explain.Group{
		{Route: "/pay", Span: "bank POST", Error: "Timeout: no answer", Count: 7, Examples: []string{strings.Repeat("ab", 16)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	silent := record("silent-1", now.Add(-10*time.Minute), func(r *rollout.Record) { r.AnalysisError = "the server refused: 503" })
	young := record("young-1", now, func(*rollout.Record) {})
	before := record("before-1", now, func(r *rollout.Record) { r.Verdict, r.AnalysisError = verdict, "the server refused: 503" })
	torn := record("torn-1", now, func(r *rollout.Record) {
		r.Verdict, r.Explanation = json.RawMessage(`"text"`), json.RawMessage(`"text"`)
	})
	foreign := record("foreign-1", now, func(r *rollout.Record) {
		r.Phase, r.Ended, r.Decision, r.Explanation = rollout.PhaseRolledBack, now, rollout.DecisionRollback, explanation
	})
	blind := record("blind-1", now, func(r *rollout.Record) {
		r.Phase, r.Ended, r.Decision = rollout.PhaseRolledBack, now, rollout.DecisionRollback
	})
	for _, tc := range []struct{ path, panel, kind, text string }{
		{silent, "verdict", "stale", "Stale. Nothing new for 10 min"},
		{silent, "checks", "error", "Could not be read. The last look could not be taken: the server refused: 503"},
		{young, "checks", "empty", "No look has been taken yet."},
		{young, "traffic", "partial", "Neither the route nor telemetry"},
		{young, "charts", "empty", "No request metrics of service nowhere"},
		{young, "tails", "empty", "No request metrics of service nowhere"},
		{young, "why", "empty", "Traces are compared when a gate fails."},
		{young, "failures", "empty", "no failed trace of the canary"},
		{before, "checks", "partial", "This is the one before."},
		{torn, "checks", "error", "The verdict cannot be read"},
		{torn, "why", "error", "The explanation cannot be read"},
		{foreign, "failures", "partial", "not in this server's store"},
		{blind, "why", "off", "had no traces to compare"},
	} {
		wantState(t, base, tc.path, tc.panel, tc.kind, tc.text)
	}
	if _, body := get(t, base+foreign); !strings.Contains(words(body), "7 traces /pay Timeout: no answer from bank POST "+strings.Repeat("ab", 16)) {
		t.Errorf("the failed traces that the driver told of are not shown:\n%s", words(body))
	}
}

func TestStatesOfADeployment(t *testing.T) {
	base, sender := start(t, nil)
	now := time.Now()
	op := release.Operation{ID: release.DeployID("11-22"), Command: "upgrade", Kind: release.KindUpgrade, State: release.StateFailed, Cluster: "prod", Namespace: "shop",
		Release: "web", Revision: 2, Start: now.Add(-time.Minute), End: now.Add(-30 * time.Second), Observers: []release.Observer{release.ObserverWrapper}}
	fine := op
	fine.ID, fine.Revision, fine.State = release.DeployID("11-11"), 1, release.StateSucceeded
	fine.Start, fine.End = now.Add(-3*time.Minute), now.Add(-2*time.Minute)
	lost := op
	lost.ID, lost.Release, lost.TraceID, lost.SpanID = release.DeployID("33-33"), "lost", strings.Repeat("c", 32), strings.Repeat("c", 16)
	if err := sender.Operations(t.Context(), op, fine, lost); err != nil {
		t.Fatal(err)
	}
	failing, err := sender.FailingUpgrade(t.Context(), now.Add(-90*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Trace(t.Context(), [16]byte{9, 9}, now.Add(-5*time.Minute), 2600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, panel, kind, text string }{
		{"/deployments/11-22/deploy", "snapshot", "empty", "Nobody took a snapshot"},
		{"/deployments/11-22/deploy", "trace", "empty", "The operation has no trace."},
		{"/deployments/11-22/deploy", "events", "empty", "No event of that time belongs to this operation."},
		{"/deployments/11-11/deploy", "snapshot", "calm", "A snapshot is taken when an operation fails"},
		{"/deployments/33-33/deploy", "trace", "empty", "is not in the store"},
		{"/deployments/large-0001/deploy", "trace", "partial", "2000 of 2600 spans are shown"},
		{"/releases/shop/web", "values", "off", "this server was given no cluster"},
		{"/releases/shop/lost", "values", "calm", "There is one revision so far."},
	} {
		wantState(t, base, tc.path, tc.panel, tc.kind, tc.text)
	}
	if _, body := get(t, base+"/deployments/"+failing.ID); strings.Count(body, `class="state `) > 0 {
		t.Errorf("a deployment of which all is known has a panel in a state:\n%s", words(body))
	}
}

// The values of two revisions are read from the cluster that the server was given.
func TestStatesOfValues(t *testing.T) {
	secret := func(revision, uid, config string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sh.helm.release.v1.web.v" + revision, UID: types.UID("uid-" + uid)},
			Data: map[string][]byte{"release": []byte(`{"name":"web","config":` + config + `}`)}}
	}
	var refuse error
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		secret("1", "1", `{"replicas":1,"image":{"tag":"v1"}}`), secret("2", "2", `{"replicas":3,"image":{"tag":"v2"}}`), secret("3", "3", `{"replicas":3,"image":{"tag":"v2"}}`),
		secret("4", "of-another-cluster", `{}`),
	).WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if refuse != nil {
			return refuse
		}
		return c.Get(ctx, key, obj, opts...)
	}}).Build()
	base, sender := startIn(t, cluster, nil)
	for i, uid := range []string{"1", "2", "3", "4", "5", "6"} {
		start := time.Now().Add(time.Duration(i-10) * time.Minute)
		err := sender.Operations(t.Context(), release.Operation{ID: release.DeployID("uid-" + uid), Command: "upgrade", Kind: release.KindUpgrade, State: release.StateSucceeded,
			Namespace: "shop", Release: "web", Revision: i + 1, Start: start, End: start.Add(time.Second), Observers: []release.Observer{release.ObserverWrapper}})
		if err != nil {
			t.Fatal(err)
		}
	}
	const page = "/releases/shop/web"
	_, body := get(t, base+page+"?revision=2")
	if text := words(body); !strings.Contains(text, "image.tag (hidden) (hidden) replicas 1 3") || strings.Contains(text, "v2") {
		t.Errorf("the changed settings are not shown, or text of them is:\n%s", text)
	}
	wantState(t, base, page+"?revision=3", "values", "calm", "The same values were given to both.")
	wantState(t, base, page+"?revision=4", "values", "empty", "is another than the one recorded here")
	wantState(t, base, page, "values", "empty", "no record of revision")
	refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no"))
	wantState(t, base, page+"?revision=2", "values", "forbidden", "Forbidden. The server may not read Secrets in namespace shop.")
	refuse = errors.New("connection refused")
	wantState(t, base, page+"?revision=2", "values", "error", "connection refused")
}
