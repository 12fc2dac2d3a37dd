package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/store/telemetry"
)

// find looks every acknowledged point and span up over HTTP.
func find(ctx context.Context, base string, l *ledger, r *Result) error {
	metrics, err := findMetrics(ctx, base)
	if err != nil {
		return err
	}
	r.Metrics = count(l.metrics, metrics)
	r.Traces = Count{Acknowledged: len(l.traces)}
	for n := range l.traces {
		ok, err := hasTrace(ctx, base, n)
		if err != nil {
			return err
		}
		if ok {
			r.Traces.Found++
		}
	}
	return nil
}

func count(acked, found map[uint64]bool) Count {
	c := Count{Acknowledged: len(acked)}
	for n := range acked {
		if found[n] {
			c.Found++
		}
	}
	return c
}

var errNotFound = errors.New("not found")

func get(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound:
		return errNotFound
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", address, resp.Status, data)
	case v == nil:
		return nil
	}
	return json.Unmarshal(data, v)
}

func findMetrics(ctx context.Context, base string) (map[uint64]bool, error) {
	var samples struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
			} `json:"result"`
		} `json:"data"`
	}
	q := url.Values{"query": {"last_over_time(crash_number[1h])"}}
	if err := get(ctx, base+"/prometheus/api/v1/query?"+q.Encode(), &samples); err != nil {
		return nil, err
	}
	found := map[uint64]bool{}
	for _, s := range samples.Data.Result {
		if n, err := strconv.ParseUint(s.Metric["number"], 10, 64); err == nil {
			found[n] = true
		}
	}
	return found, nil
}

func hasTrace(ctx context.Context, base string, n uint64) (bool, error) {
	err := get(ctx, base+"/tempo/api/traces/"+traceHex(n), nil)
	if errors.Is(err, errNotFound) {
		return false, nil
	}
	return err == nil, err
}

// findLogs reads the store of a server that has stopped: every record of a
// loop is more than one query over HTTP returns.
func findLogs(ctx context.Context, dir string) (map[uint64]bool, error) {
	store, err := telemetry.Open(filepath.Join(dir, "telemetry"), telemetry.Options{})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	found := map[uint64]bool{}
	_, scanned, err := store.SearchLogs(ctx, telemetry.LogQuery{Match: func(l *telemetry.StoredLog) bool {
		r, err := l.Decode()
		if err != nil {
			return false
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(r.Body().Str(), "number "), 10, 64); err == nil {
			found[n] = true
		}
		return false // counted; not wanted as a result
	}})
	return found, errors.Join(append(scanned.Skipped, err)...)
}
