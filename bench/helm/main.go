// Command helm measures what `fairlead helm` costs beside plain helm, on a real
// cluster: run it where KUBECONFIG and the test bed's variables are set.
//
//	make build cluster && cd bench/helm && go build -o ../../bin/bench-helm . && cd ../../test/e2e &&
//	../../bin/cluster run --audit -- ../../bin/bench-helm
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/release"
)

// The goals.
const (
	goalOverhead    = 1.05                  // median ratio of upgrades
	goalPassthrough = 40 * time.Millisecond // median difference of `version`
	goalFlush       = 50 * time.Millisecond // median flush at exit
)

type options struct {
	fairlead, helm, chart string
	upgrades, versions    int
	readyAfter            time.Duration
	pods, only            string
	peersOnly             bool
	otelCLI               string
}

func main() {
	var o options
	flag.StringVar(&o.fairlead, "fairlead", "../../bin/fairlead", "the binary to measure")
	flag.StringVar(&o.helm, "helm", os.Getenv("FAIRLEAD_TEST_HELM4"), "the helm to compare with")
	flag.StringVar(&o.chart, "chart", "../charts/app", "the chart to upgrade")
	flag.IntVar(&o.upgrades, "upgrades", 12, "pairs of upgrades, of each application")
	flag.DurationVar(&o.readyAfter, "ready-after", 3*time.Second, "how long the second application takes to be ready")
	flag.IntVar(&o.versions, "versions", 40, "pairs of `helm version`")
	flag.StringVar(&o.pods, "pods", "2,50", "replicas of the releases whose API requests are counted")
	flag.StringVar(&o.only, "only", "", "measure these alone: passthrough, flush, overhead, requests, separated by commas")
	flag.BoolVar(&o.peersOnly, "peers", false, "compare plain helm, fairlead helm, otel-cli and a script with curl instead, as a Markdown table")
	flag.StringVar(&o.otelCLI, "otel-cli", "", "the otel-cli to compare with; empty leaves it out")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench helm: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.helm == "" || os.Getenv("KUBECONFIG") == "" {
		return fmt.Errorf("FAIRLEAD_TEST_HELM4 and KUBECONFIG must be set: run inside `cluster run`")
	}
	b := &bench{options: o, namespace: fmt.Sprintf("bench-%d", os.Getpid())}
	b.collector = httptest.NewServer(http.HandlerFunc(b.receive))
	defer b.collector.Close()
	if err := b.kubectl(ctx, "create", "namespace", b.namespace); err != nil {
		return err
	}
	defer func() { _ = b.kubectl(ctx, "delete", "namespace", b.namespace, "--wait=false") }()

	if o.peersOnly {
		return b.peers(ctx, out)
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "what\tplain\tfairlead\tresult\tgoal\tn")
	for _, m := range []struct {
		name    string
		measure func(context.Context, io.Writer) error
	}{{"passthrough", b.passthrough}, {"flush", b.flush}, {"overhead", b.overhead}, {"requests", b.requests}} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), m.name) {
			continue
		}
		if err := m.measure(ctx, table); err != nil {
			return err
		}
	}
	return table.Flush()
}

type bench struct {
	options
	namespace string
	collector *httptest.Server
	cpu       time.Duration // of the last command and all it ran

	cpuPlain, cpuOurs []float64 // of the last pairs, seconds

	mu       sync.Mutex
	received []int64 // fairlead.kube.requests of the root spans received
}

func (b *bench) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" {
		return
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if v, ok := s.Attributes().Get("fairlead.kube.requests"); ok {
					b.received = append(b.received, v.Int())
				}
			}
		}
	}
}

func (b *bench) kubectl(ctx context.Context, args ...string) error {
	return exec.CommandContext(ctx, os.Getenv("FAIRLEAD_TEST_KUBECTL"), args...).Run()
}

// time runs a command with our environment and returns how long it took.
func (b *bench) time(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "FAIRLEAD_HELM_BIN="+b.helm, "HELM_NAMESPACE="+b.namespace, "OTEL_EXPORTER_OTLP_ENDPOINT="+b.collector.URL)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	took := time.Since(start)
	b.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return took, nil
}

// pairs runs plain helm and fairlead in turns, each first every second time, so
// that what else the machine does hits both alike.
func (b *bench) pairs(ctx context.Context, n int, args func(i int) []string) (plain, ours []float64, err error) {
	b.cpuPlain, b.cpuOurs = nil, nil
	for i := range n {
		order := []bool{false, true}
		if i%2 == 1 {
			order = []bool{true, false}
		}
		for j, wrapped := range order {
			name, a := b.helm, args(2*i+j)
			if wrapped {
				name, a = b.fairlead, append([]string{"helm"}, a...)
			}
			d, err := b.time(ctx, name, a...)
			if err != nil {
				return nil, nil, err
			}
			if wrapped {
				ours, b.cpuOurs = append(ours, d.Seconds()), append(b.cpuOurs, b.cpu.Seconds())
			} else {
				plain, b.cpuPlain = append(plain, d.Seconds()), append(b.cpuPlain, b.cpu.Seconds())
			}
		}
	}
	return plain, ours, nil
}

func (b *bench) passthrough(ctx context.Context, out io.Writer) error {
	plain, ours, err := b.pairs(ctx, b.versions, func(int) []string { return []string{"version"} })
	if err != nil {
		return err
	}
	more := median(ours) - median(plain)
	fmt.Fprintf(out, "helm version\t%s\t%s\t%+.1f ms\t<= %d ms\t%d\n", ms(median(plain)), ms(median(ours)), more*1000, goalPassthrough.Milliseconds(), len(plain))
	return nil
}

// overhead upgrades with one changed value, so that a new pod must become ready:
// of an application that is ready at once, where every millisecond shows, and of
// one that takes as long as an ordinary one does.
func (b *bench) overhead(ctx context.Context, out io.Writer) error {
	for _, app := range []struct{ name, title, readyAfter string }{
		{"web", "helm upgrade --wait, ready at once", "0s"},
		{"slow", "helm upgrade --wait, ready after " + b.readyAfter.String(), b.readyAfter.String()},
	} {
		set := []string{"--set", "env.READY_AFTER=" + app.readyAfter}
		if _, err := b.time(ctx, b.helm, append([]string{"install", app.name, b.chart, "--wait"}, set...)...); err != nil {
			return err
		}
		plain, ours, err := b.pairs(ctx, b.upgrades, func(i int) []string {
			return append([]string{"upgrade", app.name, b.chart, "--wait", "--set", fmt.Sprintf("env.RUN=%d", i)}, set...)
		})
		if err != nil {
			return err
		}
		ratios := make([]float64, len(plain))
		for i := range plain {
			ratios[i] = ours[i] / plain[i]
		}
		fmt.Fprintf(out, "%s\t%s\t%s\tratio %.3f (of medians %.3f)\t<= %.2f\t%d\n", app.title,
			ms(median(plain)), ms(median(ours)), median(ratios), median(ours)/median(plain), goalOverhead, len(plain))
		fmt.Fprintf(out, "  its CPU time\t%s\t%s\t%+.1f ms\t\t%d\n", ms(median(b.cpuPlain)), ms(median(b.cpuOurs)),
			(median(b.cpuOurs)-median(b.cpuPlain))*1000, len(plain))
	}
	return nil
}

// flush measures the export at exit in this process: a trace of 120 spans, the
// records and metrics of an operation, a collector on the loopback interface.
func (b *bench) flush(ctx context.Context, out io.Writer) error {
	if err := os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", b.collector.URL); err != nil {
		return err
	}
	var took []float64
	for range 20 {
		e := emit.Open(ctx, emit.Options{})
		op := release.Operation{Command: "upgrade", Kind: release.KindUpgrade, State: release.StateSucceeded, Namespace: "n", Release: "r",
			Start: time.Now().Add(-time.Minute), End: time.Now()}
		spanCtx, span := e.Start(ctx, "helm-upgrade", op.Start)
		var steps []release.Step
		for range 120 {
			steps = append(steps, release.Step{Name: "k8s.pod", Start: op.Start, End: op.End, Done: true, Attributes: map[string]any{"k8s.pod.name": "web"}})
		}
		e.Steps(spanCtx, steps, func(s string) string { return s })
		e.Operation(spanCtx, op)
		e.Count(op)
		emit.EndOperation(span, op)
		start := time.Now()
		if err := e.Close(ctx); err != nil {
			return err
		}
		took = append(took, time.Since(start).Seconds())
	}
	fmt.Fprintf(out, "flush of 121 spans at exit\t\t%s\tmax %s\t<= %d ms\t%d\n", ms(median(took)), ms(slices.Max(took)), goalFlush.Milliseconds(), len(took))
	return nil
}

// requests counts our requests to the API while releases of different sizes are
// upgraded: the client's own count, on the root span.
func (b *bench) requests(ctx context.Context, out io.Writer) error {
	for _, size := range strings.Split(b.pods, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return fmt.Errorf("-pods %q: %w", b.pods, err)
		}
		name := fmt.Sprintf("pods%d", n)
		if _, err := b.time(ctx, b.helm, "install", name, b.chart, "--wait", "--timeout", "10m", "--set", fmt.Sprintf("replicas=%d", n)); err != nil {
			return err
		}
		since, err := auditSize()
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.received = nil
		b.mu.Unlock()
		took, err := b.time(ctx, b.fairlead, "helm", "upgrade", name, b.chart, "--wait", "--timeout", "10m",
			"--set", fmt.Sprintf("replicas=%d,env.RUN=1", n))
		if err != nil {
			return err
		}
		b.mu.Lock()
		got := slices.Clone(b.received)
		b.mu.Unlock()
		fmt.Fprintf(out, "API requests, upgrade of %d pods\t\t%s\t%v requests\tconstant in pods\t1\n", n, ms(took.Seconds()), got)
		if err := printRequests(out, since); err != nil {
			return err
		}
		if _, err := b.time(ctx, b.helm, "uninstall", name, "--wait"); err != nil {
			return err
		}
	}
	return nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func ms(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }
