package api

import (
	"net/http"
	"time"

	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

// RolloutList is a page of rollouts, the one last heard of first, without their
// verdicts and explanations; NextUntil is the value of `until` for the next page.
type RolloutList struct {
	Rollouts  []rollout.Record `json:"rollouts"`
	NextUntil string           `json:"nextUntil,omitempty"`
}

// RolloutDetail is where a rollout is and how it came there, oldest first.
type RolloutDetail struct {
	Rollout rollout.Record    `json:"rollout"`
	Changes []rollouts.Change `json:"changes"`
}

func (a api) rollouts(r *http.Request) (any, error) {
	q := params{r: r}
	f := rollouts.Filter{
		Cluster: q.text("cluster"), Namespace: q.text("namespace"), Name: q.text("name"), Service: q.text("service"),
		Active: q.boolean("active"), Until: q.instant("until"), Limit: q.limit(),
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := a.rolloutStore.List(r.Context(), f)
	if err != nil {
		return nil, err
	}
	out := RolloutList{Rollouts: append([]rollout.Record{}, found...)}
	if len(found) == f.Limit {
		out.NextUntil = found[len(found)-1].At.Format(time.RFC3339Nano)
	}
	return out, nil
}

func (a api) rollout(r *http.Request) (any, error) {
	record, err := a.rolloutStore.Rollout(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	changes, err := a.rolloutStore.Changes(r.Context(), record.ID)
	if err != nil {
		return nil, err
	}
	return RolloutDetail{Rollout: record, Changes: append([]rollouts.Change{}, changes...)}, nil
}
