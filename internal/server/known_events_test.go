package server

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/release"
)

func TestKnownEvents(t *testing.T) {
	now := time.Unix(0, 0)
	k := newKnownEvents()
	k.now = func() time.Time { return now }
	type sent struct {
		uid    string
		count  int64
		joined bool
	}
	keep := func(events ...sent) (kept int, forget func()) {
		ld := plog.NewLogs()
		records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for _, e := range events {
			attrs := records.AppendEmpty().Attributes()
			if e.uid != "" {
				attrs.PutStr("k8s.event.uid", e.uid)
			}
			if e.count > 0 {
				attrs.PutInt("k8s.event.count", e.count)
			}
			if e.joined {
				attrs.PutStr(release.AttrRelease, "web")
			}
		}
		forget = k.keepNew(ld)
		return ld.LogRecordCount(), forget
	}
	for _, c := range []struct {
		reason string
		events []sent
		want   int
	}{
		{"new ones", []sent{{"a", 0, false}, {"b", 1, true}}, 2},
		{"another source's, one of which counts where the other does not", []sent{{"a", 1, false}, {"b", 0, false}}, 0},
		{"it happened again", []sent{{"a", 2, false}}, 1},
		{"now with its release", []sent{{"a", 1, true}}, 1},
		{"and again", []sent{{"a", 1, true}, {"a", 1, false}}, 0},
		{"twice in one request", []sent{{"c", 1, false}, {"c", 1, false}}, 1},
		{"no events", []sent{{}, {}}, 2},
	} {
		if got, _ := keep(c.events...); got != c.want {
			t.Errorf("%s: %d are kept, want %d", c.reason, got, c.want)
		}
	}
	_, forget := keep(sent{"d", 1, false}, sent{"a", 3, false})
	forget()
	if got, _ := keep(sent{"d", 1, false}, sent{"a", 3, false}); got != 2 {
		t.Errorf("after a request that could not be kept: %d are kept, want 2", got)
	}
	now = now.Add(knownEventsAge)
	if got, _ := keep(sent{"d", 1, false}); got != 0 {
		t.Error("forgotten in the generation after")
	}
	now = now.Add(knownEventsAge)
	if got, _ := keep(sent{"d", 1, false}); got != 1 {
		t.Error("remembered for good")
	}
	if len(k.old)+len(k.young) > 2 {
		t.Errorf("%d are remembered after two generations", len(k.old)+len(k.young))
	}
}
