// Package dashboardtest asks a running server every query of every dashboard, as
// Grafana's data sources do.
package dashboardtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/dashboards"
)

// Answer says whether a query of a panel, or of a variable, had one.
type Answer struct {
	Where string // dashboard and panel
	Query string
	Empty bool
}

// everything stands for variables set to "all".
var everything = strings.NewReplacer("$cluster", ".*", "$namespace", ".*", "$release", ".*", "$service", ".*", "$environment", ".*",
	"$__rate_interval", "1m", "$__range", "1h")

// Ask asks the server's APIs all queries over the last ten minutes, of logs over
// the last hour. Token is the server's, "" for none.
func Ask(ctx context.Context, server, token string) (out []Answer, err error) {
	c := client{server, token}
	for _, d := range dashboards.All() {
		for _, v := range d.Templating.List {
			q, ok := v.Query.(dashboards.VariableQuery)
			if !ok {
				continue
			}
			expr := everything.Replace(q.Query)
			values, err := c.labelValues(ctx, expr)
			if err != nil {
				return nil, err
			}
			out = append(out, Answer{d.Title + ": variable " + v.Name, expr, len(values) == 0})
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				expr := everything.Replace(target.Expr)
				found, err := c.has(ctx, target, expr)
				if err != nil {
					return nil, err
				}
				out = append(out, Answer{d.Title + ": " + p.Title, expr, !found})
			}
		}
	}
	return out, nil
}

type client struct{ server, token string }

func (c client) has(ctx context.Context, target dashboards.Target, expr string) (bool, error) {
	now := time.Now()
	path, q := "/prometheus/api/v1/query_range", url.Values{"query": {expr}, "start": {fmt.Sprint(now.Add(-10 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}, "step": {"15"}}
	switch {
	case target.Datasource.Type == "loki":
		path = "/loki/api/v1/query_range"
		q.Set("start", fmt.Sprint(now.Add(-time.Hour).UnixNano()))
		q.Set("end", fmt.Sprint(now.UnixNano()))
	case target.Instant:
		path, q = "/prometheus/api/v1/query", url.Values{"query": {expr}}
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := c.get(ctx, path+"?"+q.Encode(), &answer); err != nil {
		return false, err
	}
	if answer.Status != "success" {
		return false, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	for _, series := range answer.Data.Result {
		if nans := bytes.Count(series, []byte(`"NaN"`)); nans == 0 || nans < bytes.Count(series, []byte(`],[`))+1 {
			return true, nil
		}
	}
	return false, nil
}

// labelValues answers label_values(selector, label).
func (c client) labelValues(ctx context.Context, query string) ([]string, error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(query, "label_values("), ")")
	i := strings.LastIndex(inner, ",")
	if i < 0 {
		return nil, fmt.Errorf("variable %s: want label_values(selector, label)", query)
	}
	var answer struct{ Data []string }
	err := c.get(ctx, "/prometheus/api/v1/label/"+strings.TrimSpace(inner[i+1:])+"/values?"+url.Values{"match[]": {inner[:i]}}.Encode(), &answer)
	return answer.Data, err
}

func (c client) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s: %s %w", path, resp.Status, err)
	}
	return nil
}
