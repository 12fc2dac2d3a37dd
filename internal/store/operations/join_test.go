package operations

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/release"
)

// eventRecord is a record as the Collector's k8s_events receiver makes it.
func eventRecord(cluster, namespace, kind, name string) (plog.Logs, plog.LogRecord) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	res := rl.Resource().Attributes()
	if cluster != "" {
		res.PutStr("k8s.cluster.name", cluster)
	}
	res.PutStr("k8s.node.name", "")
	res.PutStr("k8s.object.kind", kind)
	res.PutStr("k8s.object.name", name)
	res.PutStr("k8s.object.uid", "059f3edc-b5a9")
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.Body().SetStr("Back-off restarting failed container")
	rec.Attributes().PutStr("k8s.event.reason", "BackOff")
	rec.Attributes().PutStr("k8s.namespace.name", namespace)
	return ld, rec
}

// objectRecord is a record as the k8sobjects receiver makes it in watch mode.
func objectRecord(namespace, kind, name string) (plog.Logs, plog.LogRecord) {
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	body := rec.Body().SetEmptyMap()
	body.PutStr("type", "ADDED")
	event := body.PutEmptyMap("object")
	event.PutStr("apiVersion", "events.k8s.io/v1")
	event.PutStr("kind", "Event")
	event.PutStr("reason", "BackOff")
	event.PutStr("type", "Warning")
	event.PutStr("eventTime", "2026-03-01T12:00:00.000000Z")
	event.PutInt("deprecatedCount", 7)
	event.PutEmptyMap("metadata").PutStr("uid", "7a1c2c0e")
	event.PutStr("note", "Back-off restarting failed container")
	regarding := event.PutEmptyMap("regarding")
	regarding.PutStr("kind", kind)
	regarding.PutStr("name", name)
	regarding.PutStr("namespace", namespace)
	return ld, rec
}

func TestJoinEvents(t *testing.T) {
	s := open(t, t.TempDir())
	record := func(cluster, name, objects string, kind release.Kind, revision int, state release.State) {
		t.Helper()
		op := release.Operation{
			ID: name + cluster + string(kind), TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331", Kind: kind, State: state,
			Observers: []release.Observer{release.ObserverAgent}, Cluster: cluster, Namespace: "shop", Release: name, Revision: revision,
			Start: time.Unix(int64(1000*revision), 0), End: time.Unix(int64(1000*revision+5), 0), Extra: map[string]string{release.AttrObjects: objects},
		}
		ld := plog.NewLogs()
		rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		rec.SetEventName(release.EventName)
		if err := rec.Attributes().FromRaw(op.Attributes()); err != nil {
			t.Fatal(err)
		}
		rec.SetTraceID([16]byte{0x0a, 0xf7})
		rec.SetSpanID([8]byte{byte(len(name)), byte(len(cluster)), byte(revision)})
		if _, err := s.ConsumeLogs(t.Context(), ld); err != nil {
			t.Fatal(err)
		}
	}
	record("east", "web", "Service/web,Deployment/web-app,StatefulSet/db,CronJob/clean", release.KindInstall, 1, release.StateSucceeded)
	record("east", "web", "Deployment/web-app", release.KindUpgrade, 2, release.StateRunning)
	record("east", "both", "Deployment/both", release.KindInstall, 1, release.StateSucceeded)
	record("west", "both", "Deployment/both", release.KindInstall, 1, release.StateSucceeded)

	for _, c := range []struct{ reason, cluster, kind, name, want string }{
		{"the object itself", "east", "Deployment", "web-app", "web"},
		{"a Deployment's pod", "east", "Pod", "web-app-5d8f7c9b4-abcde", "web"},
		{"its ReplicaSet", "east", "ReplicaSet", "web-app-5d8f7c9b4", "web"},
		{"a StatefulSet's pod", "east", "Pod", "db-0", "web"},
		{"a CronJob's Job", "east", "Job", "clean-29381", "web"},
		{"a CronJob's pod", "east", "Pod", "clean-29381-x7x7x", "web"},
		{"no cluster named, and one has it", "", "Pod", "db-0", "web"},
		{"no cluster named, and two have it", "", "Deployment", "both", ""},
		{"one of the two", "west", "Deployment", "both", "both"},
		{"another cluster", "north", "Deployment", "web-app", ""},
		{"nobody's", "east", "Pod", "stranger-1", ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			ld, rec := eventRecord(c.cluster, "shop", c.kind, c.name)
			if err := s.JoinEvents(t.Context(), ld); err != nil {
				t.Fatal(err)
			}
			if got := text(rec.Attributes(), release.AttrRelease); got != c.want {
				t.Fatalf("release %q, want %q", got, c.want)
			}
			if c.want == "web" && (text(rec.Attributes(), release.AttrRevision) != "2" || rec.TraceID().IsEmpty() || rec.SpanID().IsEmpty()) {
				t.Errorf("revision %s, trace %s", text(rec.Attributes(), release.AttrRevision), rec.TraceID())
			}
		})
	}
	ld, _ := objectRecord("shop", "Pod", "db-0")
	strange := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	strange.Body().SetStr("no event")
	if err := s.JoinEvents(t.Context(), ld); err != nil {
		t.Fatal(err)
	}
	if n := ld.ResourceLogs().Len(); n != 2 || ld.LogRecordCount() != 2 {
		t.Fatalf("k8sobjects: %d resources with %d records, want one for the event and one for the rest", n, ld.LogRecordCount())
	}
	rec := ld.ResourceLogs().At(1).ScopeLogs().At(0).LogRecords().At(0)
	for key, want := range map[string]string{
		release.AttrRelease: "web", "k8s.event.reason": "BackOff", "k8s.event.uid": "7a1c2c0e", "k8s.event.count": "7", "k8s.namespace.name": "shop",
	} {
		if got := text(rec.Attributes(), key); got != want {
			t.Errorf("k8sobjects: %s = %q, want %q", key, got, want)
		}
	}
	if kind := text(ld.ResourceLogs().At(1).Resource().Attributes(), "k8s.object.kind"); kind != "Pod" || rec.SeverityText() != "Warning" || rec.Timestamp().AsTime().Year() != 2026 {
		t.Errorf("k8sobjects: an event of a %q, %s, at %s", kind, rec.SeverityText(), rec.Timestamp().AsTime())
	}
	ld, rec = objectRecord("shop", "Pod", "db-0")
	rec.Body().Map().PutStr("type", "DELETED")
	if err := s.JoinEvents(t.Context(), ld); err != nil || text(rec.Attributes(), "k8s.event.reason") != "" {
		t.Errorf("an event that expired is told as one (%v)", err)
	}
	record("east", "web", "", release.KindUninstall, 3, release.StateSucceeded)
	ld, rec = eventRecord("east", "shop", "Pod", "db-0")
	if err := s.JoinEvents(t.Context(), ld); err != nil || text(rec.Attributes(), release.AttrRelease) != "" {
		t.Errorf("after the uninstall: release %q (%v)", text(rec.Attributes(), release.AttrRelease), err)
	}
}
