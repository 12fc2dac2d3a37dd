// Command peers measures fairlead beside its peers on the same work, in one
// run, and prints a page of Markdown. Each part is a bench of its own, which
// this runs with the peer's binary; `make bench-peers` builds all of them.
//
//	make -s bench-peers > peers.md
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is one comparison.
type part struct {
	name, title string
	note        string
	command     []string
	needs       []string // files without which it cannot run
}

type options struct {
	bin, prometheus, jaeger, collector, otelCLI, crds string
	only                                              string
	full                                              bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of fairlead, cluster and the benches")
	flag.StringVar(&o.prometheus, "prometheus", "", "Prometheus")
	flag.StringVar(&o.jaeger, "jaeger", "", "Jaeger")
	flag.StringVar(&o.collector, "collector", "", "OpenTelemetry Collector with the receiver k8s_events")
	flag.StringVar(&o.otelCLI, "otel-cli", "", "otel-cli")
	flag.StringVar(&o.crds, "gateway-crds", "", "directory of the Gateway API's CRDs")
	flag.StringVar(&o.only, "only", "", "parts to run, with commas between: wrapper, metrics, traces, events, decisions, controller")
	flag.BoolVar(&o.full, "full", false, "the sizes of docs/benchmarks.md, which take an hour; without it some ten minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "bench peers: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	parts := o.parts()
	if o.only != "" {
		want := strings.Split(o.only, ",")
		for _, name := range want {
			if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
				return fmt.Errorf("-only %q: no such part", name)
			}
		}
		parts = slices.DeleteFunc(parts, func(p part) bool { return !slices.Contains(want, p.name) })
	}
	fmt.Fprintf(out, "# fairlead beside its peers\n\n%s, %s/%s, %d CPUs.\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	var failed error
	for _, p := range parts {
		fmt.Fprintf(progress, "bench peers: %s\n", p.name)
		if err := p.run(ctx, out, progress); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}

func (o options) parts() []part {
	tool := func(name string) string { return filepath.Join(o.bin, name) }
	size := func(quick, full string) string {
		if o.full {
			return full
		}
		return quick
	}
	onCluster := func(args ...string) []string {
		return append([]string{tool("cluster"), "run", "--quiet", "--no-gateway", "--"}, args...)
	}
	decisions := []string{tool("bench-canary")}
	if !o.full {
		decisions = append(decisions, "-quick")
	}
	return []part{
		{"wrapper", "Helm, wrapped", "otel-cli 0.4.5 from its module; the script is ours.",
			onCluster(tool("bench-helm"), "-peers", "-fairlead", tool("fairlead"), "-chart", "test/charts/app", "-otel-cli", o.otelCLI,
				"-upgrades", size("8", "16"), "-versions", size("20", "40")), []string{tool("bench-helm"), o.otelCLI}},
		{"metrics", "Metrics beside Prometheus", "Both get the same OTLP requests, one after the other.",
			[]string{tool("bench-metrics"), "-server", tool("fairlead"), "-prometheus", o.prometheus, "-series", size("10000", "100000"), "-rounds", "25"},
			[]string{tool("bench-metrics"), o.prometheus}},
		{"traces", "Traces beside Jaeger", "Jaeger with Badger on disk. Tempo cannot be had as a module or Debian package.",
			[]string{tool("bench-spans"), "-spans", size("100000", "1000000"), "-queries", "40", "-jaeger", o.jaeger}, []string{tool("bench-spans"), o.jaeger}},
		{"events", "The agent beside the Collector's k8s_events", "The agent tells of releases besides; the Collector only passes events on.",
			onCluster(tool("bench-agent"), "-fairlead", tool("fairlead"), "-collector", o.collector, "-releases", size("500", "5000")), []string{tool("bench-agent"), o.collector}},
		{"decisions", "Decisions", "The rules of Flagger, Argo Rollouts and Kayenta as their documentation has them, on the same draws as ours.",
			decisions, []string{tool("bench-canary")}},
		{"controller", "The controller", "No peer runs beside it.",
			onCluster(tool("bench-controller"), "-fairlead", tool("fairlead"), "-gateway-crds", o.crds, "-small", size("20", "100"), "-large", size("200", "1000")),
			[]string{tool("bench-controller"), o.crds}},
	}
}

// run writes the part's section: its command, the load around it, its result.
func (p part) run(ctx context.Context, out, progress io.Writer) error {
	fmt.Fprintf(out, "\n## %s\n\n%s\n\n", p.title, p.note)
	for _, file := range p.needs {
		if _, err := os.Stat(file); file == "" || err != nil {
			fmt.Fprintf(out, "Not measured: %q is not there.\n", filepath.Base(file))
			return fmt.Errorf("%q is not there: run make bench-peers", file)
		}
	}
	before, began := load(), time.Now()
	var result bytes.Buffer
	cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	cmd.Stdout, cmd.Stderr = &result, progress
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	fmt.Fprintln(out, strings.TrimSpace(markdown(result.String())))
	fmt.Fprintf(out, "\nIt took %s; the load average was %s before, %s after.\n", time.Since(began).Round(time.Second), before, load())
	if err != nil {
		fmt.Fprintf(out, "\n**It failed**: %v.\n", err)
	}
	return err
}

// columns are what is told apart in a table for the terminal.
var columns = regexp.MustCompile(`\t|  +`)

// markdown makes tables of the lines that are columns, and leaves the rest,
// Markdown's own tables among it.
func markdown(text string) string {
	var b strings.Builder
	in := 0 // columns of the table that we are in
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n ")
		cells := columns.Split(strings.TrimSpace(line), -1)
		if strings.HasPrefix(line, "|") || len(cells) < 2 {
			in = 0
			b.WriteString(line + "\n")
			continue
		}
		if in == 0 {
			in = len(cells)
			fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(cells, " | "), strings.Repeat("---|", in))
			continue
		}
		for len(cells) < in {
			cells = append(cells, "")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

// load is the machine's load average, "unknown" where it is not told.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
