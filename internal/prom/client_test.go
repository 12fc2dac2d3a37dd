package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/analysis"
)

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

var anything = Matchers{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m")}

// serve answers every request with the handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc, change func(*Config)) *Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c := Config{URL: srv.URL, Retries: -1}
	if change != nil {
		change(&c)
	}
	client, err := NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestSelectDecodes(t *testing.T) {
	c := serve(t, body(`{"status":"success","infos":["cached"],"data":{"resultType":"matrix","result":[
		{"metric":{"__name__":"m","b":"2","a":"1"},"values":[[1700000000.5,"3"],[1700000015.5,"NaN"],[1700000030.5,"1.5e3"],[1700000045,"+Inf"]]},
		{"metric":{"__name__":"h"},"histograms":[
			[1700000000,{"count":"9","sum":"4","buckets":[[3,"-0.001","0.001","1"],[0,"0.5","1","2"],[0,"2","4","6"]]}],
			[1700000015,{"count":"0","sum":"0"}]]},
		{"metric":{"__name__":"nhcb"},"histograms":[
			[1700000000,{"count":"3","sum":"4","buckets":[[3,"-Inf","0.3","1"],[0,"0.3","0.7","2"]]}],
			[1700000015,{"count":"4","sum":"4","buckets":[[0,"0.3","0.7","3"],[0,"0.7","+Inf","1"]]}]]}
	]}}`), nil)
	got, err := c.Select(context.Background(), anything, epoch, epoch.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got.Series {
		line := s.Labels.String()
		for _, p := range s.Points {
			if p.H != nil {
				line += fmt.Sprintf(" %d=%+v", p.T, *p.H)
			} else {
				line += fmt.Sprintf(" %d=%v", p.T, p.V)
			}
		}
		lines = append(lines, line)
	}
	want := []string{
		`{__name__="m", a="1", b="2"} 1700000000500=3 1700000015500=NaN 1700000030500=1500 1700000045000=+Inf`,
		`{__name__="h"} 1700000000000={Bounds:[] Schema:0 Zero:1 First:0 Counts:[2 0 6]} 1700000015000={Bounds:[] Schema:8 Zero:0 First:0 Counts:[]}`,
		`{__name__="nhcb"} 1700000000000={Bounds:[0.3 0.7 +Inf] Schema:0 Zero:0 First:0 Counts:[1 2 0]} 1700000015000={Bounds:[0.3 0.7 +Inf] Schema:0 Zero:0 First:0 Counts:[0 3 1]}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cached"}, got.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestSelectRefuses(t *testing.T) {
	empty := `"data":{"resultType":"matrix","result":[]}`
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); fmt.Fprint(w, text) }
	}
	tests := map[string]struct {
		reason  string
		handler http.HandlerFunc
		change  func(*Config)
		want    error
		text    string
	}{
		"warnings":     {"series may be missing", body(`{"status":"success","warnings":["store x is down"],` + empty + `}`), nil, ErrPartial, "store x is down"},
		"partial":      {"VictoriaMetrics marks it so", body(`{"status":"success","isPartial":true,` + empty + `}`), nil, ErrPartial, "isPartial"},
		"accepted":     {"on request", body(`{"status":"success","warnings":["w"],` + empty + `}`), func(c *Config) { c.AcceptWarnings = true }, nil, ""},
		"503":          {"the server is not ready", status(503, "Service Unavailable"), nil, ErrUnavailable, "503"},
		"401":          {"no credentials", status(401, ""), nil, ErrRefused, "bearerTokenFile"},
		"403":          {"wrong credentials", status(403, ""), nil, ErrRefused, "403"},
		"404":          {"wrong path", status(404, "<html>"), nil, ErrRefused, "source.prometheus.url"},
		"bad query":    {"the server explains", status(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`), nil, ErrRefused, "parse error"},
		"error in 200": {"some proxies do", body(`{"status":"error","error":"limit hit"}`), nil, ErrRefused, "limit hit"},
		"no JSON":      {"a login page", body(`<html>please log in</html>`), nil, ErrMalformed, "malformed"},
		"cut off":      {"no half an answer", body(`{"status":"success","data":{"resultType":"matrix","result":[`), nil, ErrMalformed, ""},
		"wrong type":   {"not what was asked", body(`{"status":"success","data":{"resultType":"vector","result":[]}}`), nil, ErrMalformed, "vector"},
		"no status":    {"not the API", body(`{}`), nil, ErrMalformed, ""},
		"not a number": {"never a silent zero", body(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}`), nil, ErrMalformed, "no number"},
		"redirect":     {"credentials stay here", status(302, ""), nil, ErrRefused, "302"},
		"too slow": {"bounded", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone
			<-r.Context().Done()
		}, func(c *Config) { c.Timeout = analysis.Duration(50 * time.Millisecond) }, ErrUnavailable, "no answer within 50ms"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, tc.handler, tc.change).Select(context.Background(), anything, epoch, epoch.Add(time.Minute))
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Fatalf("%s: error %v, want %v", tc.reason, err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: error %v does not say %q", tc.reason, err, tc.text)
			}
		})
	}
}

func TestSelectRetries(t *testing.T) {
	var n atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	}, func(c *Config) { c.Retries = 1 })
	if _, err := c.Select(context.Background(), anything, epoch, epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n.Load() != 2 {
		t.Errorf("%d requests, want 2", n.Load())
	}
}

func TestSelectAsksInHalves(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		at, _ := strconv.ParseFloat(r.FormValue("time"), 64)
		asked = append(asked, r.FormValue("query"))
		if strings.Contains(r.FormValue("query"), "[240000ms]") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"status":"error","error":"query processing would load too many samples into memory in query execution"}`)
			return
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":[[%.0f,"1"]]}]}}`, at)
	}, nil)
	got, err := c.Select(context.Background(), anything, epoch, epoch.Add(4*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"m{}[240000ms]", "m{}[120000ms]", "m{}[120000ms]"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if len(got.Series) != 1 || len(got.Series[0].Points) != 2 {
		t.Errorf("the halves were not joined: %+v", got.Series)
	}
}

func TestSelectBoundsTheAnswer(t *testing.T) {
	long := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"` + strings.Repeat("m", 4096) + `"},"values":[[1,"1"]]}]}}`
	c := serve(t, body(long), func(c *Config) { c.MaxResponseBytes = 1024 })
	_, err := c.Select(context.Background(), anything, epoch, epoch.Add(time.Minute))
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "maxResponseBytes") {
		t.Errorf("error %v, want ErrTooLarge that names maxResponseBytes", err)
	}
	c = serve(t, body(long), func(c *Config) { c.MaxResponseBytes = int64(len(long)) })
	if _, err := c.Select(context.Background(), anything, epoch, epoch.Add(time.Minute)); err != nil {
		t.Errorf("an answer of just the limit: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	var got http.Header
	handler := func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	}
	for name, tc := range map[string]struct {
		change func(*Config)
		header string
		want   string
	}{
		"bearer": {func(c *Config) { c.BearerToken = "s3cret" }, "Authorization", "Bearer s3cret"},
		"basic":  {func(c *Config) { c.BasicAuth = &BasicAuth{Username: "u", Password: "p"} }, "Authorization", "Basic dTpw"},
		"tenant": {func(c *Config) { c.Headers = map[string]string{"X-Scope-OrgID": "shop"} }, "X-Scope-OrgID", "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := serve(t, handler, tc.change).Select(context.Background(), anything, epoch, epoch.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got.Get(tc.header) != tc.want {
				t.Errorf("%s: %q, want %q", tc.header, got.Get(tc.header), tc.want)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		want   string
	}{
		"empty":       {Config{}, "source.prometheus.url"},
		"no scheme":   {Config{URL: "prometheus:9090"}, "want http://"},
		"credentials": {Config{URL: "http://u:hunter2@p"}, "basicAuth"},
		"both":        {Config{URL: "http://p", BearerToken: "a", BasicAuth: &BasicAuth{Username: "u"}}, "keep one"},
		"half a pair": {Config{URL: "http://p", TLS: &TLS{CertFile: "c"}}, "keyFile"},
		"retries":     {Config{URL: "http://p", Retries: 99}, "retries = 99"},
		"header":      {Config{URL: "http://p", Headers: map[string]string{"authorization": "x"}}, "bearerToken"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.config.Validate()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want an error with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
