//go:build integration

package emit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/processor"

	"fairlead.dev/fairlead/internal/prom/promtest"
	"fairlead.dev/fairlead/internal/release"
)

// runs is how many separate processes deploy; one of them fails.
const runs = 4

// TestMain lets the test binary stand in for a short-lived process.
func TestMain(m *testing.M) {
	if state := os.Getenv("EMIT_TEST_STATE"); state != "" {
		e := Open(context.Background(), Options{Version: os.Getenv("EMIT_TEST_VERSION")})
		op := example()
		op.State = release.State(state)
		e.Count(op)
		if err := e.Close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// deploy runs one process that counts a deployment of 12 s.
func deploy(t *testing.T, run int, state release.State, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "EMIT_TEST_STATE="+string(state), fmt.Sprintf("EMIT_TEST_VERSION=0.%d.0", run),
		"OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
		fmt.Sprintf("OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod,cicd.pipeline.run.id=%d", run))
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("process %d: %v\n%s", run, err, out)
	}
}

func stateOf(run int) release.State {
	if run == runs-1 {
		return release.StateFailed
	}
	return release.StateSucceeded
}

// TestIntegrationSeparateProcessesAddUpInPrometheus sends the metrics of
// separate processes to a real Prometheus.
func TestIntegrationSeparateProcessesAddUpInPrometheus(t *testing.T) {
	server := promtest.Start(t, promtest.Options{Config: promtest.OTLPConfig,
		Args: []string{"--web.enable-otlp-receiver", "--enable-feature=otlp-deltatocumulative"}})
	const all = `helm_deploy_count_total{helm_release="checkout",helm_namespace="shop"}`
	for run := range runs {
		before := time.Now().Add(-10 * time.Millisecond)
		deploy(t, run, stateOf(run), "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="+server+"/api/v1/otlp/v1/metrics")
		now := time.Now()
		if got := ask(t, server, "sum("+all+")", now); got != float64(run+1) {
			t.Fatalf("after %d processes the sum is %v", run+1, got)
		}
		// Only this run lies in the window, the first one among them.
		window := now.Sub(before).Milliseconds()
		if got := ask(t, server, fmt.Sprintf("sum(increase(%s[%dms]))", all, window), now); got < 0.99 {
			t.Errorf("increase() over process %d is %v: it did not see it", run+1, got)
		}
	}
	for query, want := range map[string]float64{
		`sum(helm_deploy_count_total{helm_success="true"})`:                               runs - 1,
		`sum(helm_deploy_count_total{helm_success="false"})`:                              1,
		`sum(helm_rollback_count_total)`:                                                  0,
		`sum(helm_deploy_duration_seconds_count)`:                                         runs,
		`sum(helm_deploy_duration_seconds_sum)`:                                           12 * runs,
		`sum(helm_deploy_duration_seconds_bucket{le="15"})`:                               runs,
		`sum(helm_deploy_duration_seconds_bucket{le="10"})`:                               0,
		`count(helm_deploy_count_total)`:                                                  2,
		`sum(helm_rollback_count_total) / sum(helm_deploy_count_total)`:                   0,
		`count(count by (job) (helm_deploy_count_total{job="helm-deployment-pipeline"}))`: 1,
	} {
		if got := ask(t, server, query, time.Now()); got != want {
			t.Errorf("%s = %v, want %v", query, got, want)
		}
	}
}

// ask returns the value of an instant query that has one.
func ask(t *testing.T, server, query string, at time.Time) float64 {
	t.Helper()
	resp, err := http.Get(server + "/api/v1/query?" + url.Values{
		"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Data.Result) != 1 {
		t.Fatalf("%s: want one value: %s", query, body)
	}
	value, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestIntegrationSeparateProcessesAddUpInTheCollector sends them through the
// Collector's deltatocumulative processor.
func TestIntegrationSeparateProcessesAddUpInTheCollector(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	factory := deltatocumulativeprocessor.NewFactory()
	proc, err := factory.CreateMetrics(t.Context(), processor.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(), BuildInfo: component.NewDefaultBuildInfo(),
	}, factory.CreateDefaultConfig(), sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proc.Shutdown(context.Background()) })
	collector := httptest.NewServer(through(proc))
	t.Cleanup(collector.Close)
	for run := range runs {
		deploy(t, run, stateOf(run), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
	}
	last := map[string]float64{}
	for _, md := range sink.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Type() != pmetric.MetricTypeSum {
						continue
					}
					if m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
						t.Errorf("%s is not cumulative", m.Name())
					}
					for _, p := range m.Sum().DataPoints().All() {
						success, _ := p.Attributes().Get("helm.success")
						last[m.Name()+" "+success.AsString()] = float64(p.IntValue())
					}
				}
			}
		}
	}
	want := map[string]float64{"helm.deploy.count true": runs - 1, "helm.deploy.count false": 1, "helm.rollback.count true": 0, "helm.rollback.count false": 0}
	for k, v := range want {
		if last[k] != v {
			t.Errorf("%s = %v, want %v", k, last[k], v)
		}
	}
}

func through(proc processor.Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		req := pmetricotlp.NewExportRequest()
		if err == nil {
			err = req.UnmarshalProto(body)
		}
		if err == nil {
			err = proc.ConsumeMetrics(r.Context(), req.Metrics())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}
