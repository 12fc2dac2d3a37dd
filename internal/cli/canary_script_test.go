package cli

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/rogpeppe/go-internal/testscript"

	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fairlead": func() { os.Exit(Main(context.Background(), os.Args, OSStreams())) },
	})
}

// recordings are rollouts with something wrong in their samples, by name; the
// scripts say what the judge makes of each.
var recordings = map[string]func(*simulate.Options){
	"healthy": nil,
	"broken":  func(o *simulate.Options) { o.Fault = simulate.Fault{Route: 0, Errors: 0.3} },
	"nan": change(func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
		if l.Get("deployment_track") == "canary" && l.Get("http_route") == "/route/00" {
			return math.NaN(), true
		}
		return v, true
	}),
	"no-canary": change(func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
		return v, l.Get("deployment_track") != "canary"
	}),
	"no-stable": change(func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
		return v, l.Get("deployment_track") != "stable"
	}),
	"idle-stable": func(o *simulate.Options) {
		last := map[string]float64{}
		o.Change = func(l labels.Labels, at time.Time, v float64) (float64, bool) {
			if key := l.String(); l.Get("deployment_track") == "stable" {
				if at.Before(simulated) {
					last[key] = v
				}
				return last[key], true
			}
			return v, true
		}
	},
	"other-buckets": change(func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
		coarse := strings.HasSuffix(l.Get("le"), "5") // 0.005, 0.025, ...
		canary := l.Get("deployment_track") == "canary"
		return v, l.Get("le") == "" || l.Get("le") == "+Inf" || coarse == canary
	}),
	"no-errors": change(func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
		return v, l.Get("http_response_status_code") != "500"
	}),
	"resets": func(o *simulate.Options) {
		n := 0
		o.Change = func(l labels.Labels, _ time.Time, v float64) (float64, bool) {
			if n++; l.Get("deployment_track") == "canary" {
				return float64(1000 - n%7*100 - n%3), true
			}
			return v, true
		}
	},
}

var simulated = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func change(f func(labels.Labels, time.Time, float64) (float64, bool)) func(*simulate.Options) {
	return func(o *simulate.Options) { o.Change = f }
}

// record writes all recordings once.
func record(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, alter := range recordings {
		o := simulate.Options{Seed: 5, Start: simulated, History: 10 * time.Minute, Rate: 20, Routes: 2, Pods: 2,
			Steps: []simulate.Step{{Weight: 0.2, Length: 11 * time.Minute, Pods: 1}}, Fault: simulate.Fault{Route: 99}}
		if alter != nil {
			alter(&o)
		}
		f, err := os.Create(filepath.Join(dir, name+".om"))
		if err != nil {
			t.Fatal(err)
		}
		if err := recording.Write(f, simulate.Rollout(o)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCanaryScripts runs testdata/canary: what users type and what they get.
func TestCanaryScripts(t *testing.T) {
	dir := record(t)
	faults := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const empty = `"data":{"resultType":"matrix","result":[]}`
		switch strings.Split(r.URL.Path, "/")[1] {
		case "warns":
			fmt.Fprint(w, `{"status":"success","warnings":["store 3 is down"],`+empty+`}`)
		case "partial":
			fmt.Fprint(w, `{"status":"success","isPartial":true,`+empty+`}`)
		case "unavailable":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "unauthorized":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			fmt.Fprint(w, `{"status":"success",`+empty+`}`)
		}
	}))
	t.Cleanup(faults.Close) // the scripts run in parallel, after this function
	testscript.Run(t, testscript.Params{
		Dir: "testdata/canary",
		Setup: func(e *testscript.Env) error {
			e.Setenv("RECORDINGS", dir)
			e.Setenv("FAULTS", faults.URL)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("OTEL_SDK_DISABLED", "true")
			return nil
		},
	})
}
