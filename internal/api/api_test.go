package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/alert"
	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/alerts"
	"fairlead.dev/fairlead/internal/store/audit"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

func server(t *testing.T, clusters ...string) *httptest.Server {
	t.Helper()
	store, err := operations.Open(t.TempDir(), operations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, cluster := range clusters {
		for i, state := range []release.State{release.StateSucceeded, release.StateFailed} {
			op := release.Operation{
				ID: release.DeployID(cluster + string(rune('a'+i))), Command: "upgrade", Kind: release.KindUpgrade, State: state, Cluster: cluster,
				Namespace: "shop", Release: "checkout", Revision: i + 1, Start: start.Add(time.Duration(i) * time.Hour),
				End: start.Add(time.Duration(i)*time.Hour + 90*time.Second), Observers: []release.Observer{release.ObserverAgent},
			}
			rec := sl.LogRecords().AppendEmpty()
			rec.SetEventName(release.EventName)
			for k, v := range op.Attributes() {
				switch v := v.(type) {
				case string:
					rec.Attributes().PutStr(k, v)
				case int64:
					rec.Attributes().PutInt(k, v)
				}
			}
		}
	}
	if _, err := store.ConsumeLogs(context.Background(), ld); err != nil {
		t.Fatal(err)
	}
	h, err := New(Stores{Operations: store})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// get decodes the answer into out and returns the status.
func get(t *testing.T, srv *httptest.Server, path string, out any) int {
	t.Helper()
	resp, err := http.Get(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode
}

func TestReadsBackWhatCameIn(t *testing.T) {
	srv := server(t, "prod")
	var list ReleaseList
	get(t, srv, "/api/v1/releases", &list)
	if len(list.Releases) != 1 || list.Releases[0].Status != "failed" || list.Releases[0].Deploys != 2 || list.Releases[0].ConsecutiveFailures != 1 {
		t.Errorf("releases: %+v", list)
	}
	var detail ReleaseDetail
	get(t, srv, "/api/v1/releases/shop/checkout", &detail)
	if len(detail.Operations) != 2 || detail.Operations[0].DurationSeconds != 90 {
		t.Errorf("release: %+v", detail)
	}
	var ops OperationList
	get(t, srv, "/api/v1/operations?state=succeeded", &ops)
	if len(ops.Operations) != 1 {
		t.Fatalf("operations: %+v", ops)
	}
	var one Operation
	if get(t, srv, "/api/v1/operations/"+ops.Operations[0].ID, &one); !cmp.Equal(one, ops.Operations[0]) {
		t.Errorf("operation: %s", cmp.Diff(ops.Operations[0], one))
	}
}

func TestBadRequestsNameParameterAndValue(t *testing.T) {
	srv := server(t, "prod", "test")
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{"/api/v1/releases?limit=many", `limit="many": want a whole number from 1`, 400},
		{"/api/v1/releases?limit=5000", `limit="5000": want at most 1000`, 400},
		{"/api/v1/operations?kind=deploy", `kind="deploy": want one of`, 400},
		{"/api/v1/operations?since=yesterday", `since="yesterday": want a time`, 400},
		{"/api/v1/releases/shop/checkout", "several clusters", 400},
		{"/api/v1/releases/shop/nothing", "release shop/nothing: not found", 404},
		{"/api/v1/operations/x/deploy", "operation x/deploy: not found", 404},
		{"/api/v1/snapshots/x/deploy", "snapshot of operation x/deploy: not found", 404},
		{"/api/v1/teapots", "no such resource: GET /api/v1/teapots", 404},
	} {
		var e Error
		if status := get(t, srv, c.path, &e); status != c.status || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.path, status, e.Message, c.status, c.want)
		}
	}
}

// TestDescriptionMatchesTypes fails when a field of an answer is missing from
// openapi.yaml, or the other way round.
func TestDescriptionMatchesTypes(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
			}
		}
	}
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"Error": Error{}, "Release": Release{}, "ReleaseList": ReleaseList{}, "Operation": Operation{}, "OperationList": OperationList{}, "Snapshot": Snapshot{},
		"RolloutList": RolloutList{}, "RolloutDetail": RolloutDetail{}, "Rollout": rollout.Record{}, "RolloutStep": rollout.RecordStep{}, "RolloutChange": rollouts.Change{},
		"AlertOverview": alerting.Overview{}, "Alert": alerting.Entry{}, "AlertDelivery": alerts.Delivery{}, "AlertRule": alerting.RuleInfo{},
		"AlertReceiver": alerting.ReceiverInfo{}, "AlertTest": AlertTest{}, "AlertTestResult": alerting.TestResult{}, "SilenceList": SilenceList{},
		"Silence": alert.Silence{}, "SilenceRequest": SilenceRequest{}, "AuditList": AuditList{}, "AuditEntry": audit.Entry{},
	} {
		fields := jsonFields(reflect.TypeOf(v))
		var described []string
		for property := range doc.Components.Schemas[name].Properties {
			described = append(described, property)
		}
		sort.Strings(fields)
		sort.Strings(described)
		if diff := cmp.Diff(fields, described); diff != "" {
			t.Errorf("%s: -in Go +described\n%s", name, diff)
		}
	}
}

// jsonFields are the names of a struct's fields in JSON, those of embedded
// structs too.
func jsonFields(typ reflect.Type) (fields []string) {
	for _, f := range reflect.VisibleFields(typ) {
		if !f.Anonymous {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, name)
		}
	}
	return fields
}

func TestRollouts(t *testing.T) {
	store, err := rollouts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	record := rollout.Record{ID: "uid-abc-1", At: at, Namespace: "shop", Name: "checkout", Service: "checkout", Phase: rollout.PhaseProgressing,
		Steps: []rollout.RecordStep{{Weight: 5, Gate: "10m0s"}, {Weight: 100}}, Weight: 5, Verdict: json.RawMessage(`{"decision":"continue"}`)}
	later := record
	later.At, later.Phase, later.Reason = at.Add(time.Minute), rollout.PhaseRollingBack, rollout.ReasonAnalysis
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, r := range []rollout.Record{later, record} {
		body, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		rec := sl.LogRecords().AppendEmpty()
		rec.SetEventName(rollout.RecordEvent)
		rec.Body().SetStr(string(body))
	}
	if bad, err := store.ConsumeLogs(t.Context(), ld); err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
	h, err := New(Stores{Rollouts: store})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := Client{Server: srv.URL}
	list, err := c.Rollouts(t.Context(), nil)
	if err != nil || len(list.Rollouts) != 1 || list.Rollouts[0].Phase != rollout.PhaseRollingBack || list.Rollouts[0].Verdict != nil {
		t.Errorf("list: %+v %v", list, err)
	}
	detail, err := c.Rollout(t.Context(), "uid-abc-1")
	if err != nil || detail.Rollout.Verdict == nil || len(detail.Changes) != 2 || detail.Changes[1].Reason != rollout.ReasonAnalysis {
		t.Errorf("detail: %+v %v", detail, err)
	}
	var status *StatusError
	if _, err := c.Rollout(t.Context(), "other"); !errors.As(err, &status) || status.Status != 404 {
		t.Errorf("a rollout that is not there: %v", err)
	}
}
