// Package api is the server's own JSON API under /api/v1/: releases,
// operations, failure snapshots, rollouts and alerts. openapi.yaml describes it.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/alerting"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/audit"
	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

//go:embed openapi.yaml
var openAPI []byte

// Prefix is the path that the handler answers under.
const Prefix = "/api/v1/"

// Stores are what the API reads from.
type Stores struct {
	Operations *operations.Store
	Rollouts   *rollouts.Store
	Alerts     *alerting.Engine // nil: alerts are off
	Audit      *audit.Store
	// Caller names who makes a request, for the record of actions.
	Caller func(context.Context) string
}

// Handler answers the API's requests.
type Handler struct {
	mux      *http.ServeMux
	patterns []string
}

// New returns the handler of the API.
func New(s Stores) (*Handler, error) {
	description, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	a := api{store: s.Operations, rolloutStore: s.Rollouts, alerting: s.Alerts, auditStore: s.Audit, caller: s.Caller}
	h := &Handler{mux: http.NewServeMux()}
	for pattern, answer := range map[string]http.Handler{
		"GET /api/v1/releases":                    handler(a.releases),
		"GET /api/v1/releases/{namespace}/{name}": handler(a.release),
		"GET /api/v1/operations":                  handler(a.operations),
		"GET /api/v1/operations/{id...}":          handler(a.operation),
		"GET /api/v1/snapshots/{id...}":           handler(a.snapshot),
		"GET /api/v1/rollouts":                    handler(a.rollouts),
		"GET /api/v1/rollouts/{id...}":            handler(a.rollout),
		"GET /api/v1/alerts":                      handler(a.alerts),
		"POST /api/v1/alerts/{name}/test":         handler(a.testAlert),
		"GET /api/v1/silences":                    handler(a.silences),
		"POST /api/v1/silences":                   handler(a.addSilence),
		"DELETE /api/v1/silences/{id}":            handler(a.endSilence),
		"GET /api/v1/audit":                       handler(a.audit),
		"GET /api/v1/openapi.json": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(description)
		}),
	} {
		h.mux.Handle(pattern, answer)
		h.patterns = append(h.patterns, pattern)
	}
	h.mux.HandleFunc(Prefix, func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no such resource: %s %s; %sopenapi.json lists what there is", r.Method, r.URL.Path, Prefix))
	})
	return h, nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Patterns are the routes that the handler answers, as [http.ServeMux] has them.
func (h *Handler) Patterns() []string { return slices.Clone(h.patterns) }

type api struct {
	store        *operations.Store
	rolloutStore *rollouts.Store
	alerting     *alerting.Engine
	auditStore   *audit.Store
	caller       func(context.Context) string
}

// handler answers with a value to encode, or an error to translate.
type handler func(*http.Request) (any, error)

// ServeHTTP is the one place where errors become statuses.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, err := h(r)
	var bad paramError
	switch {
	case errors.As(err, &bad):
		writeError(w, http.StatusBadRequest, bad.Error())
	case errors.Is(err, alerting.ErrInput):
		writeError(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, operations.ErrNotFound), errors.Is(err, rollouts.ErrNotFound), errors.Is(err, alerting.ErrNotFound),
		errors.Is(err, alerting.ErrUnknownRule), errors.Is(err, errAlertsOff):
		writeError(w, http.StatusNotFound, err.Error())
	case err != nil:
		writeError(w, http.StatusInternalServerError, err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
	}
}

// paramError is a parameter that cannot be used.
type paramError struct{ param, value, want string }

func (b paramError) Error() string { return fmt.Sprintf("%s=%q: want %s", b.param, b.value, b.want) }

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Error{Message: message})
}

func (a api) releases(r *http.Request) (any, error) {
	q := params{r: r}
	f := operations.ReleaseFilter{
		Cluster: q.text("cluster"), Namespace: q.text("namespace"), Contains: q.text("q"),
		Uninstalled: q.boolean("uninstalled"), After: q.text("after"), Limit: q.limit(),
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := a.store.Releases(r.Context(), f)
	if err != nil {
		return nil, err
	}
	out := ReleaseList{Source: SourceServer, Releases: make([]Release, 0, len(found))}
	for _, one := range found {
		out.Releases = append(out.Releases, releaseJSON(one))
	}
	if len(found) == f.Limit {
		out.Next = found[len(found)-1].Cursor()
	}
	return out, nil
}

func (a api) release(r *http.Request) (any, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	q := params{r: r}
	cluster, limit := q.text("cluster"), q.limit()
	if q.err != nil {
		return nil, q.err
	}
	if cluster == "" {
		var err error
		if cluster, err = a.onlyCluster(r, namespace, name); err != nil {
			return nil, err
		}
	}
	one, err := a.store.Release(r.Context(), cluster, namespace, name)
	if err != nil {
		return nil, err
	}
	ops, err := a.store.Operations(r.Context(), operations.OperationFilter{Cluster: cluster, Namespace: namespace, Release: name, Limit: limit})
	if err != nil {
		return nil, err
	}
	return ReleaseDetail{Source: SourceServer, Release: releaseJSON(one), Operations: operationsJSON(ops)}, nil
}

// onlyCluster returns the cluster of a release that stands in one cluster only.
func (a api) onlyCluster(r *http.Request, namespace, name string) (string, error) {
	found, err := a.store.Releases(r.Context(), operations.ReleaseFilter{Namespace: namespace, Contains: name, Uninstalled: true, Limit: operations.MaxPage})
	if err != nil {
		return "", err
	}
	var clusters []string
	for _, one := range found {
		if one.Name == name {
			clusters = append(clusters, one.Cluster)
		}
	}
	switch len(clusters) {
	case 0:
		return "", fmt.Errorf("release %s/%s: %w", namespace, name, operations.ErrNotFound)
	case 1:
		return clusters[0], nil
	default:
		return "", paramError{"cluster", "", fmt.Sprintf("one of %q: the release stands in several clusters", clusters)}
	}
}

func (a api) operations(r *http.Request) (any, error) {
	q := params{r: r}
	f := operations.OperationFilter{
		Cluster: q.text("cluster"), Namespace: q.text("namespace"), Release: q.text("release"), TraceID: q.text("trace_id"),
		Kind:     release.Kind(q.oneOf("kind", "install", "upgrade", "rollback", "uninstall", "test")),
		State:    release.State(q.oneOf("state", "running", "succeeded", "failed", "cancelled")),
		Revision: q.number("revision"), Since: q.instant("since"), Until: q.instant("until"), Limit: q.limit(),
	}
	if q.err != nil {
		return nil, q.err
	}
	ops, err := a.store.Operations(r.Context(), f)
	if err != nil {
		return nil, err
	}
	out := OperationList{Operations: operationsJSON(ops)}
	if len(ops) == f.Limit {
		out.NextUntil = ops[len(ops)-1].Start.Format(time.RFC3339Nano)
	}
	return out, nil
}

func (a api) operation(r *http.Request) (any, error) {
	op, err := a.store.Operation(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return operationJSON(op), nil
}

func (a api) snapshot(r *http.Request) (any, error) {
	body, at, err := a.store.Snapshot(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	out := Snapshot{OperationID: r.PathValue("id"), At: at}
	if json.Valid([]byte(body)) {
		out.State = json.RawMessage(body)
	} else {
		out.Text = body
	}
	return out, nil
}

// params reads query parameters; the first that cannot be used is err.
type params struct {
	r   *http.Request
	err error
}

func (p *params) text(name string) string { return p.r.URL.Query().Get(name) }

func (p *params) fail(name, value, want string) {
	if p.err == nil {
		p.err = paramError{name, value, want}
	}
}

func (p *params) number(name string) int {
	v := p.text(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		p.fail(name, v, "a whole number from 1")
	}
	return n
}

func (p *params) limit() int {
	n := p.number("limit")
	switch {
	case n == 0:
		return operations.DefaultPage
	case n > operations.MaxPage:
		p.fail("limit", p.text("limit"), fmt.Sprintf("at most %d", operations.MaxPage))
	}
	return n
}

func (p *params) boolean(name string) bool {
	v := p.text(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		p.fail(name, v, "true or false")
	}
	return b
}

func (p *params) oneOf(name string, values ...string) string {
	v := p.text(name)
	if v == "" {
		return ""
	}
	for _, one := range values {
		if v == one {
			return v
		}
	}
	p.fail(name, v, fmt.Sprintf("one of %q", values))
	return ""
}

// instant reads RFC 3339 time, or a duration that is taken back from now.
func (p *params) instant(name string) time.Time {
	v := p.text(name)
	if v == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t
	}
	if d, err := time.ParseDuration(v); err == nil {
		return time.Now().Add(-d)
	}
	p.fail(name, v, `a time as "2006-01-02T15:04:05Z" or a duration back from now as "24h"`)
	return time.Time{}
}
