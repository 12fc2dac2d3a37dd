package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// way is one way to run Helm and have a trace of it.
type way struct {
	name    string
	command func(args []string) []string
}

// sendByHand runs what it is given and then sends one span of it with curl, as
// a pipeline without any tool does.
const sendByHand = `#!/bin/sh
start=$(date +%s%N)
"$@"
code=$?
curl -s -o /dev/null -m 5 -H 'Content-Type: application/json' "$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces" --data-binary @- <<END
{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"by-hand"}}]},"scopeSpans":[{"spans":[{"traceId":"$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')","spanId":"$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')","name":"helm-upgrade","kind":1,"startTimeUnixNano":"$start","endTimeUnixNano":"$(date +%s%N)"}]}]}]}
END
exit $code
`

// ways are plain Helm first, then those that can be had here.
func (b *bench) ways(dir string) ([]way, error) {
	ways := []way{
		{"helm", func(args []string) []string { return append([]string{b.helm}, args...) }},
		{"fairlead helm", func(args []string) []string { return append([]string{b.fairlead, "helm"}, args...) }},
	}
	if b.otelCLI != "" {
		ways = append(ways, way{"otel-cli exec", func(args []string) []string {
			return append([]string{b.otelCLI, "exec", "--service", "bench", "--name", "helm", "--", b.helm}, args...)
		}})
	}
	if _, err := exec.LookPath("curl"); err == nil {
		script := filepath.Join(dir, "by-hand")
		if err := os.WriteFile(script, []byte(sendByHand), 0o700); err != nil {
			return nil, err
		}
		ways = append(ways, way{"a script with curl", func(args []string) []string { return append([]string{script, b.helm}, args...) }})
	}
	return ways, nil
}

// peers runs the same commands each way in turn, and prints a Markdown table.
func (b *bench) peers(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "bench-helm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ways, err := b.ways(dir)
	if err != nil {
		return err
	}
	if _, err := b.time(ctx, b.helm, "install", "web", b.chart, "--wait"); err != nil {
		return err
	}
	run := 0
	kinds := []struct {
		n    int
		args func() []string
	}{
		{b.versions, func() []string { return []string{"version"} }},
		{b.upgrades, func() []string {
			run++
			return []string{"upgrade", "web", b.chart, "--wait", "--set", fmt.Sprintf("env.RUN=%d", run)}
		}},
	}
	took, cpu := make([][][]float64, len(kinds)), make([][][]float64, len(kinds))
	for k, kind := range kinds {
		took[k], cpu[k] = make([][]float64, len(ways)), make([][]float64, len(ways))
		for i := range kind.n {
			for j := range ways {
				w := (i + j) % len(ways) // each is first as often as the others
				command := ways[w].command(kind.args())
				d, err := b.time(ctx, command[0], command[1:]...)
				if err != nil {
					return err
				}
				took[k][w], cpu[k][w] = append(took[k][w], d.Seconds()), append(cpu[k][w], b.cpu.Seconds())
			}
		}
	}
	fmt.Fprintf(out, "Medians of %d and %d runs, in turns.\n\n| | `version` | more than plain | `upgrade --wait` of a pod | to plain | CPU time of the upgrade | spans |\n|---|--:|--:|--:|--:|--:|---|\n", b.versions, b.upgrades)
	for w, way := range ways {
		spans := map[string]string{"helm": "none", "fairlead helm": "the operation, workloads, pods; the cause of a failure"}[way.name]
		if spans == "" {
			spans = "one of the command"
		}
		ratios := make([]float64, len(took[1][w]))
		for i := range ratios {
			ratios[i] = took[1][w][i] / took[1][0][i]
		}
		fmt.Fprintf(out, "| %s | %s | %+.1f ms | %s | %.3f | %s | %s |\n", way.name, ms(median(took[0][w])), 1000*(median(took[0][w])-median(took[0][0])),
			ms(median(took[1][w])), median(ratios), ms(median(cpu[1][w])), spans)
	}
	_, err = b.time(ctx, b.helm, "uninstall", "web", "--wait", "--timeout", time.Minute.String())
	return err
}
