package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// RecordEvent is the event name of the OTLP log record that says where a
// rollout is. Whoever drives one (controller, `rollout run`, demo) emits it at
// each change and each look, with the [Record] as JSON in its body, so that the
// server can show rollouts of any cluster.
const RecordEvent = "canary.rollout"

// AttrRolloutID is the log attribute that holds [Record.ID]; the rollout's
// spans carry it too.
const AttrRolloutID = "rollout.id"

// MaxRecordBytes bounds the JSON of a record. A writer whose record is larger
// leaves out Explanation, then Verdict.
const MaxRecordBytes = 256 << 10

// Record is where a rollout is at an instant. Records of one ID replace each
// other: the one with the latest At is the state, and those that differ in
// phase, step, weight, reason or decision make the log of decisions.
type Record struct {
	ID string    `json:"id"` // [ID]
	At time.Time `json:"at"` // when this was so

	Cluster       string `json:"cluster,omitempty"`
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	Service       string `json:"service"` // service.name in telemetry
	CanaryVersion string `json:"canaryVersion,omitempty"`
	StableVersion string `json:"stableVersion,omitempty"`
	// Driver is who moves the weights: controller, run or demo.
	Driver string `json:"driver,omitempty"`

	Phase   Phase  `json:"phase"`
	Reason  Reason `json:"reason,omitempty"` // why it is rolled back, ended or waits
	Message string `json:"message,omitempty"`
	Paused  bool   `json:"paused,omitempty"`

	Steps          []RecordStep `json:"steps"`
	Step           int          `json:"step"`           // index into Steps
	Weight         int          `json:"weight"`         // percent wanted for the canary
	WeightObserved *int         `json:"weightObserved"` // percent that the route shows; nil = not known
	// TrafficShare is the canary's share of the requests in telemetry, 0 to 1; nil = not known.
	TrafficShare *float64 `json:"trafficShare"`

	Started      time.Time `json:"started,omitzero"`
	PhaseStarted time.Time `json:"phaseStarted,omitzero"`
	GateStarted  time.Time `json:"gateStarted,omitzero"`
	Deadline     time.Time `json:"deadline,omitzero"`
	Ended        time.Time `json:"ended,omitzero"`

	// Decision and DecisionReason are the last look's; Verdict is that verdict
	// whole, as `canary analyze -o json` prints it.
	Decision       Decision        `json:"decision,omitempty"`
	DecisionReason string          `json:"decisionReason,omitempty"`
	Verdict        json.RawMessage `json:"verdict,omitempty"`
	// Explanation is what the failed traces have in common, as
	// `canary explain -o json` prints it.
	Explanation json.RawMessage `json:"explanation,omitempty"`
	// AnalysisError says why the last look could not be taken.
	AnalysisError string `json:"analysisError,omitempty"`

	TraceID string `json:"traceId,omitempty"` // of the rollout's trace, 32 hex digits
}

// RecordStep is a step as the record shows it.
type RecordStep struct {
	Weight   int    `json:"weight"`
	Gate     string `json:"gate,omitempty"` // a duration as Go prints it; "" = no gate
	Approval bool   `json:"approval,omitempty"`
}

// ID returns the identity of a rollout: the uid of what asked for it, the
// canary's template and the attempt (contracts: status.rolloutID).
func ID(uid, template string, attempt int) string {
	return fmt.Sprintf("%s-%s-%d", uid, template, attempt)
}

// TraceID derives the trace id of a rollout, 16 bytes, so that whoever goes on
// after a restart goes on in the same trace.
func TraceID(id string) [16]byte {
	sum := sha256.Sum256([]byte("fairlead rollout trace\x00" + id))
	return [16]byte(sum[:16])
}

// SpanID derives the id of a span of a rollout from what the span is about,
// such as "root" or "step/2", so that a span ended twice is one span.
func SpanID(id, name string) [8]byte {
	sum := sha256.Sum256([]byte("fairlead rollout span\x00" + id + "\x00" + name))
	return [8]byte(sum[:8])
}

// Encode returns the record as JSON of at most [MaxRecordBytes].
func (r Record) Encode() ([]byte, error) {
	if r.TraceID == "" {
		t := TraceID(r.ID)
		r.TraceID = hex.EncodeToString(t[:])
	}
	b, err := json.Marshal(r)
	if err == nil && len(b) > MaxRecordBytes {
		r.Explanation = nil
		b, err = json.Marshal(r)
	}
	if err == nil && len(b) > MaxRecordBytes {
		r.Verdict = nil
		b, err = json.Marshal(r)
	}
	if err == nil && len(b) > MaxRecordBytes {
		return nil, fmt.Errorf("record of rollout %s is %d bytes even without its verdict, at most %d", r.ID, len(b), MaxRecordBytes)
	}
	return b, err
}

// DecodeRecord reads what [Record.Encode] wrote. It returns an error that names
// the field when one that identifies the rollout is missing.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) > MaxRecordBytes {
		return Record{}, fmt.Errorf("rollout record: %d bytes, at most %d", len(b), MaxRecordBytes)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("rollout record: %w", err)
	}
	for field, v := range map[string]string{"id": r.ID, "namespace": r.Namespace, "name": r.Name} {
		if v == "" {
			return Record{}, fmt.Errorf("rollout record: %s is missing", field)
		}
	}
	if r.At.IsZero() {
		return Record{}, fmt.Errorf("rollout record: at is missing")
	}
	return r, nil
}
