package api

import (
	"encoding/json"
	"time"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
)

// Error is the body of every answer that is not 2xx.
type Error struct {
	Message string `json:"error"`
}

// Release is the state of a release. Times are RFC 3339; what is not known is
// left out.
type Release struct {
	Cluster             string     `json:"cluster,omitempty"`
	Namespace           string     `json:"namespace"`
	Name                string     `json:"name"`
	Status              string     `json:"status"`
	Revision            int        `json:"revision,omitempty"`
	Chart               string     `json:"chart,omitempty"`
	ChartVersion        string     `json:"chartVersion,omitempty"`
	AppVersion          string     `json:"appVersion,omitempty"`
	LastDeploy          *time.Time `json:"lastDeploy,omitempty"`
	LastDurationSeconds float64    `json:"lastDurationSeconds,omitempty"`
	ConsecutiveFailures int        `json:"consecutiveFailures"`
	PendingSince        *time.Time `json:"pendingSince,omitempty"`
	*Counts
	LastOperation *Operation `json:"lastOperation,omitempty"`
}

// Counts are a release's counters since the server has known it. What is read
// from the cluster itself has none: Helm keeps the newest revisions only.
type Counts struct {
	Deploys         int64 `json:"deploys"`
	FailedDeploys   int64 `json:"failedDeploys"`
	Rollbacks       int64 `json:"rollbacks"`
	FailedRollbacks int64 `json:"failedRollbacks"`
}

// The sources of what is said about releases.
const (
	SourceServer  = "server"  // the server's record of operations
	SourceCluster = "cluster" // Helm's own records in the cluster
)

// ReleaseList is a page of releases; Next is the value of `after` for the next page.
type ReleaseList struct {
	Source   string    `json:"source"`
	Releases []Release `json:"releases"`
	Next     string    `json:"next,omitempty"`
}

// ReleaseDetail is a release and its newest operations.
type ReleaseDetail struct {
	Source string `json:"source"`
	Release
	Operations []Operation `json:"operations"`
}

// Operation is one Helm operation. What nobody saw is left out.
type Operation struct {
	ID                 string            `json:"id"`
	TraceID            string            `json:"traceId,omitempty"`
	SpanID             string            `json:"spanId,omitempty"`
	Cluster            string            `json:"cluster,omitempty"`
	Namespace          string            `json:"namespace"`
	Release            string            `json:"release"`
	Command            string            `json:"command,omitempty"`
	Kind               string            `json:"kind"`
	State              string            `json:"state"`
	PreviousRevision   *int              `json:"previousRevision,omitempty"`
	Revision           int               `json:"revision,omitempty"`
	RollbackToRevision int               `json:"rollbackToRevision,omitempty"`
	Chart              string            `json:"chart,omitempty"`
	ChartVersion       string            `json:"chartVersion,omitempty"`
	AppVersion         string            `json:"appVersion,omitempty"`
	ExitCode           *int              `json:"exitCode,omitempty"`
	Wait               string            `json:"wait,omitempty"`
	Start              *time.Time        `json:"start,omitempty"`
	End                *time.Time        `json:"end,omitempty"`
	DurationSeconds    float64           `json:"durationSeconds,omitempty"`
	ErrorType          string            `json:"errorType,omitempty"`
	Cause              string            `json:"cause,omitempty"`
	Automatic          bool              `json:"automatic,omitempty"`
	ParentID           string            `json:"parentId,omitempty"`
	Observers          []string          `json:"observers"`
	Attributes         map[string]string `json:"attributes,omitempty"`
}

// OperationList is a page of operations, newest first; NextUntil is the value
// of `until` for the next page.
type OperationList struct {
	Operations []Operation `json:"operations"`
	NextUntil  string      `json:"nextUntil,omitempty"`
}

// Snapshot is the state of the cluster when an operation failed: as JSON in
// State, or as Text where the sender sent no JSON.
type Snapshot struct {
	OperationID string          `json:"operationId"`
	At          time.Time       `json:"at"`
	State       json.RawMessage `json:"state,omitempty"`
	Text        string          `json:"text,omitempty"`
}

// FromOperations describes a release by its operations, newest first, of which
// there must be one. It has no counters.
func FromOperations(ops []release.Operation) ReleaseDetail {
	r := operations.Summarise(ops)
	r.Cluster, r.Namespace, r.Name = ops[0].Cluster, ops[0].Namespace, ops[0].Release
	d := ReleaseDetail{Release: releaseJSON(r), Operations: operationsJSON(ops)}
	d.Counts = nil
	return d
}

func releaseJSON(r operations.Release) Release {
	last := operationJSON(r.Last)
	return Release{
		Cluster: r.Cluster, Namespace: r.Namespace, Name: r.Name, Status: string(r.Status), Revision: r.Revision,
		Chart: r.ChartName, ChartVersion: r.ChartVersion, AppVersion: r.AppVersion,
		LastDeploy: instant(r.LastDeploy), LastDurationSeconds: r.LastDuration.Seconds(),
		ConsecutiveFailures: r.ConsecutiveFailures, PendingSince: instant(r.PendingSince),
		Counts:        &Counts{Deploys: r.Deploys, FailedDeploys: r.FailedDeploys, Rollbacks: r.Rollbacks, FailedRollbacks: r.FailedRollbacks},
		LastOperation: &last,
	}
}

func operationsJSON(ops []release.Operation) []Operation {
	out := make([]Operation, 0, len(ops))
	for _, op := range ops {
		out = append(out, operationJSON(op))
	}
	return out
}

func operationJSON(op release.Operation) Operation {
	observers := make([]string, 0, len(op.Observers))
	for _, o := range op.Observers {
		observers = append(observers, string(o))
	}
	return Operation{
		ID: op.ID, TraceID: op.TraceID, SpanID: op.SpanID, Cluster: op.Cluster, Namespace: op.Namespace, Release: op.Release,
		Command: op.Command, Kind: string(op.Kind), State: string(op.State),
		PreviousRevision: op.PreviousRevision, Revision: op.Revision, RollbackToRevision: op.RollbackTo,
		Chart: op.ChartName, ChartVersion: op.ChartVersion, AppVersion: op.AppVersion, ExitCode: op.ExitCode, Wait: op.Wait,
		Start: instant(op.Start), End: instant(op.End), DurationSeconds: op.Duration().Seconds(),
		ErrorType: string(op.ErrorType), Cause: op.Cause, Automatic: op.Automatic, ParentID: op.ParentID,
		Observers: observers, Attributes: op.Extra,
	}
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
