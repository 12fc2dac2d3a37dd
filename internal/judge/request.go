package judge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/analysis"
)

// maxRequest bounds a request's body: a configuration is a few kilobytes.
const maxRequest = 256 << 10

// Request asks for a verdict.
type Request struct {
	Service  string          `json:"service"`
	Versions Versions        `json:"versions,omitzero"`
	Match    Matches         `json:"match,omitzero"`
	Analysis json.RawMessage `json:"analysis,omitempty"`
	// Weight in percent; a change of it begins a step. 0 is unknown.
	Weight float64 `json:"weight,omitempty"`
	// Gate is how long a step is watched before a promotion, 10m by default.
	Gate analysis.Duration `json:"gate,omitempty"`
	// Start is when the canary began; its first request by default.
	Start time.Time `json:"start,omitzero"`
}

// requestError is a request that cannot be, with the field that is wrong.
type requestError struct{ error }

// decodeAnalysis reads the analysis structure, or YAML text of it in a string.
func decodeAnalysis(raw json.RawMessage) (analysis.Config, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return analysis.Default(), nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return analysis.Decode([]byte(text))
	}
	return analysis.Decode(raw)
}

func decode(r *http.Request, q *Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxRequest))
	if err != nil {
		return requestError{fmt.Errorf("read the request: %w", err)}
	}
	js, err := yaml.YAMLToJSONStrict(body)
	if err != nil {
		return requestError{fmt.Errorf("read the request: %w", err)}
	}
	dec := json.NewDecoder(strings.NewReader(string(js)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(q); err != nil {
		return requestError{fileError(err)}
	}
	return nil
}

// queryRequest reads the parameters of a GET, or Flagger's metadata.
func queryRequest(v url.Values) (Request, error) {
	q := Request{Service: v.Get("service"), Versions: Versions{Canary: v.Get("canaryVersion"), Stable: v.Get("stableVersion")}}
	for name := range v {
		switch name {
		case "service", "canaryVersion", "stableVersion", "canaryMatch", "stableMatch", "weight", "gate", "start", "analysis":
		default:
			return q, requestError{fmt.Errorf("%s: no such parameter; there are service, canaryVersion, stableVersion, canaryMatch, stableMatch, weight, gate, start and analysis", name)}
		}
	}
	var err error
	if q.Match.Canary, err = equalities(v, "canaryMatch"); err != nil {
		return q, err
	}
	if q.Match.Stable, err = equalities(v, "stableMatch"); err != nil {
		return q, err
	}
	if text := v.Get("weight"); text != "" {
		if q.Weight, err = strconv.ParseFloat(text, 64); err != nil {
			return q, requestError{fmt.Errorf("weight = %q: want a number of percent", text)}
		}
	}
	if text := v.Get("gate"); text != "" {
		if err := q.Gate.UnmarshalText([]byte(text)); err != nil {
			return q, requestError{fmt.Errorf("gate: %w", err)}
		}
	}
	if text := v.Get("start"); text != "" {
		if q.Start, err = time.Parse(time.RFC3339, text); err != nil {
			return q, requestError{fmt.Errorf("start = %q: want RFC 3339", text)}
		}
	}
	if text := v.Get("analysis"); text != "" {
		if q.Analysis, err = json.Marshal(text); err != nil {
			return q, requestError{err}
		}
	}
	return q, nil
}

func equalities(v url.Values, name string) (map[string]string, error) {
	if len(v[name]) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, pair := range v[name] {
		label, value, ok := strings.Cut(pair, "=")
		if !ok || label == "" {
			return nil, requestError{fmt.Errorf("%s = %q: want label=value", name, pair)}
		}
		m[label] = value
	}
	return m, nil
}
