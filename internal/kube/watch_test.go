package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/fairlead/internal/release"
)

var web = release.Ref{Namespace: "shop", Name: "web"}

// collect is a sink of pods that gathers what it emits.
func collect() (*sink, *[]release.Observation) {
	var seen []release.Observation
	r := &reflection{
		source: workloadSourcesOf("pods"), now: func() time.Time { return created },
		emit: func(o release.Observation) { seen = append(seen, o) },
	}
	return newSink(r, func() {}), &seen
}

func workloadSourcesOf(name string) source {
	conv := converter{}
	return source{name: name, convert: func(obj runtime.Object, at time.Time) release.Observation {
		return release.Observation{At: at, Pod: conv.pod(obj.(*corev1.Pod))}
	}}
}

func TestSinkTellsWhatIsGoneAfterARelist(t *testing.T) {
	s, seen := collect()
	pod := func(name, version string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID("uid of " + name), ResourceVersion: version}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Replace([]any{pod("a", "1"), pod("bb", "1")}, "1"))
	must(s.Add(pod("ccc", "2")))
	must(s.Update(pod("a", "3")))
	// The connection broke; meanwhile bb went, and dddd came.
	must(s.Replace([]any{pod("a", "3"), pod("ccc", "4"), pod("dddd", "5")}, "5"))
	must(s.Delete(pod("a", "6")))
	var got []string
	for _, o := range *seen {
		got = append(got, fmt.Sprintf("%s initial=%v deleted=%v", o.Pod.Name, o.Initial, o.Deleted))
	}
	want := []string{
		"a initial=true deleted=false", "bb initial=true deleted=false", "ccc initial=false deleted=false", "a initial=false deleted=false",
		"ccc initial=false deleted=false", "dddd initial=false deleted=false", "bb initial=false deleted=true", "a initial=false deleted=true",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSinkTellsAListInItsOrderOfAge gives a sink a whole state in no order, as a
// watch does.
func TestSinkTellsAListInItsOrderOfAge(t *testing.T) {
	s, seen := collect()
	object := func(second, revision int) *corev1.Pod {
		name := fmt.Sprintf("%d.v%d", second, revision)
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), ResourceVersion: "1", CreationTimestamp: metav1.Unix(int64(second), 0), Labels: map[string]string{"version": fmt.Sprint(revision)},
		}}
	}
	if err := s.Replace([]any{object(2, 11), object(2, 9), object(1, 8), object(3, 12), object(2, 10)}, "1"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range *seen {
		got = append(got, o.Pod.Name)
	}
	if want := "1.v8 2.v9 2.v10 2.v11 3.v12"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// offline is a watch without sources: tests ingest by themselves.
func offline(opts WatchOptions) *Watch {
	opts.Now = time.Now
	w := &Watch{
		opts: opts, owners: release.NewOwners(opts.Release), tracks: make(map[release.Ref]*track),
		missing: make(map[string]string), synced: make(chan struct{}), client: &Client{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.fetch.init()
	w.handlers.init()
	return w
}

func deploymentOf(ref release.Ref) *release.Workload {
	return &release.Workload{Meta: release.Meta{
		ObjectRef: release.ObjectRef{Kind: "Deployment", Namespace: ref.Namespace, Name: ref.Name, UID: "d-" + ref.Name}, Release: ref, Generation: 1,
	}, Desired: 1}
}

func eventOn(uid string, count int32) *release.Event {
	return &release.Event{UID: "e-" + uid, Reason: "BackOff", Count: count, Object: release.ObjectRef{Kind: "Deployment", Namespace: "shop", UID: uid}}
}

func TestEventsWaitForTheirObject(t *testing.T) {
	w := offline(WatchOptions{Release: web})
	w.ingest(release.Observation{Event: eventOn("d-web", 1)})
	if n := len(w.Events()); n != 0 {
		t.Fatalf("%d events of an object that nobody has seen", n)
	}
	w.ingest(release.Observation{Workload: deploymentOf(web)})
	w.ingest(release.Observation{Event: eventOn("d-web", 1)}) // delivered twice
	w.ingest(release.Observation{Event: eventOn("d-web", 2)})
	if events := w.Events(); len(events) != 2 || events[0].Count != 1 || events[1].Count != 2 || events[0].Release != web {
		t.Errorf("events %+v", events)
	}
}

func TestEventsOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		w := offline(WatchOptions{AllEvents: true, Handler: func(o release.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if o.Event != nil {
				got = append(got, o.Event.Object.UID+" "+o.Release.Name)
			}
		}})
		w.wg.Go(w.letGoEvents)
		w.wg.Go(func() { w.handlers.run(w.opts.Handler) })
		w.ingest(release.Observation{At: time.Now(), Event: eventOn("never-seen", 1)})
		w.ingest(release.Observation{At: time.Now(), Event: eventOn("d-web", 1)})
		w.ingest(release.Observation{At: time.Now(), Workload: deploymentOf(web)})
		time.Sleep(2 * parkFor)
		w.Stop()
		if want := "d-web web,never-seen "; strings.Join(got, ",") != want {
			t.Errorf("got %q, want %q", strings.Join(got, ","), want)
		}
	})
}

func TestFetchQueueReadsOnlyTheNewestOfWhatWasThere(t *testing.T) {
	var q fetchQueue
	q.init()
	other := release.Ref{Namespace: "shop", Name: "other"}
	put := func(ref release.Ref, revision int, initial bool) {
		q.put(release.Record{Ref: ref, Revision: revision, UID: fmt.Sprintf("%s.%d", ref.Name, revision)}, initial)
	}
	for _, n := range []int{2, 10, 9, 1} {
		put(web, n, true)
	}
	put(other, 1, true)
	put(web, 11, false)
	put(web, 11, false)
	var got []string
	for range 3 {
		r, _ := q.take()
		got = append(got, r.UID)
	}
	if want := "web.10 other.1 web.11"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	q.stop()
	if r, ok := q.take(); ok {
		t.Errorf("more: %s", r.UID)
	}
}

func TestRecordsKeepTheirBodyWhenOnlyTheStatusChanges(t *testing.T) {
	w := offline(WatchOptions{Release: web})
	w.ingest(release.Observation{Record: &release.Record{Ref: web, Revision: 1, UID: "s1", Status: "pending-install"}})
	full := release.Record{Ref: web, Revision: 1, UID: "s1", Status: "pending-install", Chart: "app"}
	w.mu.Lock()
	w.ingestBody(full, release.Observation{Release: web})
	w.mu.Unlock()
	w.ingest(release.Observation{Record: &release.Record{Ref: web, Revision: 1, UID: "s1", Status: "deployed"}})
	w.mu.Lock()
	w.ingestBody(full, release.Observation{Release: web}) // read before the change, told after it
	w.mu.Unlock()
	if r := w.Records(); len(r) != 1 || r[0].Status != "deployed" || r[0].Chart != "app" {
		t.Errorf("records %+v", r)
	}
	w.ingest(release.Observation{Record: &release.Record{Ref: release.Ref{Namespace: "shop", Name: "other"}, Revision: 1, UID: "s2"}})
	w.ingest(release.Observation{Deleted: true, Record: &release.Record{Ref: web, Revision: 1, UID: "s1"}})
	if r := w.Records(); len(r) != 0 {
		t.Errorf("records %+v", r)
	}
}

func TestRecordFromMetadata(t *testing.T) {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "sh.helm.release.v1.web.v12", Namespace: "shop", UID: "s1", CreationTimestamp: metav1.NewTime(created),
		Labels: map[string]string{"owner": "helm", "name": "web", "version": "12", "status": "pending-upgrade", "modifiedAt": "1"},
		ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "Helm", Time: &metav1.Time{Time: created.Add(time.Minute)}}, {Manager: "kubectl-label", Time: &metav1.Time{Time: created}},
		},
	}}
	r, ok := recordFromMetadata(m)
	if !ok || r.Ref != web || r.Revision != 12 || r.Status != "pending-upgrade" || r.Manager != "Helm" || !r.Modified.Equal(created.Add(time.Minute)) {
		t.Errorf("got %+v, %v", r, ok)
	}
	m.Labels["version"] = "x"
	if _, ok := recordFromMetadata(m); ok {
		t.Error("a foreign Secret is taken for a record")
	}
}

func TestLockOf(t *testing.T) {
	records := []release.Record{
		{Ref: web, Revision: 3, Status: "pending-upgrade", Created: created, Manager: "Helm"},
		{Ref: web, Revision: 1, Status: "superseded"}, {Ref: web, Revision: 2, Status: "failed"},
	}
	lock, ok := lockOf(records, Claim{}, false, created)
	if !ok || lock.Revision != 3 || lock.Holder != "Helm" || !lock.Since.Equal(created) || lock.LastDeployed != 1 || lock.Alive {
		t.Errorf("got %+v", lock)
	}
	claim := Claim{Holder: "pipeline 7", Renewed: created, Duration: 30 * time.Second}
	for seconds, alive := range map[int]bool{10: true, 40: false} {
		lock, _ = lockOf(records, claim, true, created.Add(time.Duration(seconds)*time.Second))
		if lock.Holder != "pipeline 7" || lock.Alive != alive {
			t.Errorf("after %d s: %+v", seconds, lock)
		}
	}
	if _, ok := lockOf(records[1:], claim, true, created); ok {
		t.Error("a release without a pending record is locked")
	}
}

func TestRemovedLog(t *testing.T) {
	for text, want := range map[string]bool{
		`failed to try resolving symlinks in path "/var/log/pods/x/app/1.log": lstat /var/log/pods/x/app/1.log: no such file or directory`: true,
		"unable to retrieve the price": false, "unable to retrieve container logs for containerd://5a1c": true, "": false,
	} {
		if got := removed([]byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestTailLines(t *testing.T) {
	opts := SnapshotOptions{MaxLines: 3, Redact: func(s string) string { return strings.ReplaceAll(s, "two\nthree", "[key]") }}.withDefaults()
	lines, truncated := tailLines([]byte("one\ntwo\nthree\r\nfour\nfive\n"), opts)
	if strings.Join(lines, "|") != "[key]|four|five" || !truncated {
		t.Errorf("%q, %v", lines, truncated)
	}
	lines, _ = tailLines([]byte(strings.Repeat("x", 5000)+"\xff"), opts)
	if len(lines) != 1 || len(lines[0]) > maxLineLength+len("…") {
		t.Errorf("%d lines of %d bytes", len(lines), len(lines[0]))
	}
	opts.MaxLogBytes = 8
	if lines, truncated := tailLines([]byte("123456\n1234\n12"), opts); strings.Join(lines, "|") != "1234|12" || !truncated {
		t.Errorf("%q, %v", lines, truncated)
	}
	if lines, truncated := tailLines(nil, opts); lines != nil || truncated {
		t.Errorf("%q, %v", lines, truncated)
	}
}

func TestLogsAreReadOfABoundedNumberOfContainers(t *testing.T) {
	k := &logKeeper{byKey: make(map[string]*keptLog)}
	reads := 0
	for restart := range int32(10) {
		for pod := range 50 {
			for range 3 { // seen several times without a new failure
				if k.wants(fmt.Sprint("pod", pod), "app", restart) {
					reads++
				}
			}
		}
	}
	if reads != keptContainers*keptReads {
		t.Errorf("%d reads, want %d", reads, keptContainers*keptReads)
	}
}

func TestReason(t *testing.T) {
	cases := map[string]error{
		"forbidden":                  fmt.Errorf("list: %w", apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("x"))),
		"unauthorized":               apierrors.NewUnauthorized("x"),
		"not served by this cluster": apierrors.NewNotFound(corev1.Resource("pods"), ""),
		"Expired":                    apierrors.NewResourceExpired("x"),
		"plain":                      errors.New("plain"),
	}
	for want, err := range cases {
		if got := reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// The shape is part of the interface.
func TestSnapshotJSON(t *testing.T) {
	s := release.Snapshot{Version: release.SnapshotVersion, Taken: created, Facts: release.Facts{Release: web, Revision: 2, Status: "failed",
		Workloads: []release.Workload{*deploymentOf(web)}, Pods: []release.Pod{}}}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"taken":"2026-03-01T12:00:00Z","release":{"namespace":"shop","name":"web"},"revision":2,"status":"failed",` +
		`"workloads":[{"kind":"Deployment","namespace":"shop","name":"web","uid":"d-web","generation":1,"created":"0001-01-01T00:00:00Z","desired":1,"total":0,"updated":0,"ready":0,"available":0}],"pods":[]}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
}

// TestSupersededBodyIsNotReadAgain: Helm supersedes the revision before at the
// end of each upgrade, by its status alone.
func TestSupersededBodyIsNotReadAgain(t *testing.T) {
	ref := release.Ref{Namespace: "shop", Name: "web"}
	w := offline(WatchOptions{Release: ref})
	defer w.Stop()
	record := func(status string) release.Observation {
		return release.Observation{At: time.Now(), Record: &release.Record{Ref: ref, Revision: 1, UID: "s1", Status: status}}
	}
	w.ingest(record("superseded"))
	if _, ok := w.fetch.waiting["s1"]; !ok {
		t.Error("a body that nobody has read is not asked for")
	}
	w.fetch.waiting = map[string]release.Record{}
	full := release.Record{Ref: ref, Revision: 1, UID: "s1", Status: "deployed", Chart: "app", LastDeployed: time.Now()}
	w.mu.Lock()
	w.ingestBody(full, release.Observation{At: time.Now(), Release: ref, Record: &full})
	w.mu.Unlock()
	w.ingest(record("superseded"))
	if len(w.fetch.waiting) != 0 {
		t.Error("the body is read once more")
	}
	if got := w.Records()[0]; got.Status != "superseded" || got.Chart != "app" {
		t.Errorf("the record is %+v", got)
	}
	w.ingest(record("failed"))
	if _, ok := w.fetch.waiting["s1"]; !ok {
		t.Error("a change that may have changed the body does not read it")
	}
}
