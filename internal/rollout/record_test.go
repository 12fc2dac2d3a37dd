package rollout

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestRecordRoundTrip(t *testing.T) {
	share := 0.05
	r := Record{ID: ID("u", "t", 1), At: time.Unix(10, 0).UTC(), Namespace: "shop", Name: "checkout",
		Phase: PhaseProgressing, Steps: []RecordStep{{Weight: 5, Gate: "10m0s"}}, TrafficShare: &share,
		Verdict: json.RawMessage(`{"decision":"continue"}`)}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != r.ID || !got.At.Equal(r.At) || len(got.TraceID) != 32 || *got.TrafficShare != share {
		t.Errorf("got %+v", got)
	}
	if got.WeightObserved != nil {
		t.Error("a weight that is not known must stay so")
	}
}

func TestRecordIsBounded(t *testing.T) {
	big := json.RawMessage(`"` + strings.Repeat("x", MaxRecordBytes) + `"`)
	r := Record{ID: "a", At: time.Unix(1, 0), Namespace: "n", Name: "m", Verdict: json.RawMessage(`{}`), Explanation: big}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := DecodeRecord(b); got.Explanation != nil || got.Verdict == nil {
		t.Error("the explanation goes first, the verdict stays")
	}
	r.Message = strings.Repeat("x", MaxRecordBytes)
	if _, err := r.Encode(); err == nil {
		t.Error("a record over the bound must be an error")
	}
}

func TestDecodeRecordNamesWhatIsMissing(t *testing.T) {
	for give, want := range map[string]string{
		`{"at":"2026-01-01T00:00:00Z","namespace":"n","name":"m"}`: "id is missing",
		`{"id":"a","at":"2026-01-01T00:00:00Z","name":"m"}`:        "namespace is missing",
		`{"id":"a","namespace":"n","name":"m"}`:                    "at is missing",
		`{`:                                                        "unexpected end",
	} {
		if _, err := DecodeRecord([]byte(give)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", give, err, want)
		}
	}
}
