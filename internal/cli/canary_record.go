package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/judge"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
)

type recordOptions struct {
	analyze analyzeOptions // of which the source and the subject are used
	path    string
	start   string
	end     string
	history time.Duration
}

func newCanaryRecordCommand(s Streams) *cobra.Command {
	o := recordOptions{analyze: analyzeOptions{streams: s, now: time.Now}}
	cmd := &cobra.Command{
		Use:   "record FILE",
		Short: "Save a rollout's traffic to a file that replay judges again",
		Long: `Save the raw samples that the judge reads, of both tracks, as an OpenMetrics text
file with timestamps: for replay, and for promtool's backfill. A name that ends
in .gz or .zst is packed; - is stdout.

Native histograms cannot be written so: copy the server's TSDB directory instead,
which replay reads too.`,
		Example: `  fairlead canary record rollout.om.zst --service shop --canary-version 2.0.0 --stable-version 1.9.0 --start 2026-03-01T12:00:00Z
  fairlead canary record rollout.om.gz -f canary.yaml --start 2026-03-01T12:00:00Z --end 2026-03-01T13:10:00Z --prometheus http://prometheus:9090`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return runRecord(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.analyze.server.bind(cmd)
	f.StringVarP(&o.analyze.file, "file", "f", "", "YAML file with service, versions, analysis and source, or a CanaryRelease")
	f.StringVar(&o.analyze.prometheus, "prometheus", os.Getenv("PROMETHEUS_URL"), "URL of a Prometheus-compatible server to ask instead of the fairlead server; PROMETHEUS_URL")
	bindSubject(cmd, &o.analyze.subject)
	f.StringVar(&o.start, "start", "", "when the rollout began (default: the newest canary's first request)")
	f.StringVar(&o.end, "end", "", "when to stop (default: now)")
	f.DurationVar(&o.history, "history", time.Hour, "how much of the stable track before the start is saved too")
	return cmd
}

func runRecord(ctx context.Context, o recordOptions) error {
	file, err := judge.ReadFile(o.analyze.file)
	if err != nil {
		return err
	}
	if o.history < 0 {
		return fmt.Errorf("--history %s: want 0s or more", o.history)
	}
	subject := subjectOf(file, o.analyze.subject)
	tracks, err := subject.Tracks()
	if err != nil {
		return err
	}
	client, err := prom.NewClient(o.analyze.sourceConfig(file))
	if err != nil {
		return err
	}
	source := prom.NewSource(client)
	end := o.analyze.now()
	if o.end != "" {
		if end, err = parseTime("end", o.end); err != nil {
			return err
		}
	}
	var start time.Time
	if o.start != "" {
		if start, err = parseTime("start", o.start); err != nil {
			return err
		}
	} else {
		var found bool
		if start, found, err = judge.NewestStart(ctx, source, file.Analysis, subject, end); err != nil {
			return err
		}
		if !found {
			return errors.New("no series of the canary in the last hour: say when the rollout began with --start")
		}
	}
	if !end.After(start) {
		return fmt.Errorf("--end %s is not after the start, %s", end.UTC().Format(time.RFC3339), start.UTC().Format(time.RFC3339))
	}
	series, err := fetchRaw(ctx, source, analysis.Query{Config: &file.Analysis, Tracks: tracks}, start.Add(-o.history), end)
	if err != nil {
		return err
	}
	if len(series) == 0 {
		return fmt.Errorf("no series of service %q between %s and %s", subject.Service, start.Add(-o.history).UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
	}
	if err := writeRecording(o.path, o.analyze.streams.Out, series); err != nil {
		return err
	}
	samples := 0
	for _, s := range series {
		samples += len(s.Points)
	}
	fmt.Fprintf(o.analyze.streams.Err, "recorded %d samples of %d series; replay them with --start %s\n", samples, len(series), start.UTC().Format(time.RFC3339))
	return nil
}

// recordChunk is how much is asked for at once.
const recordChunk = 10 * time.Minute

// fetchRaw asks for a long range piece by piece and joins the series.
func fetchRaw(ctx context.Context, source *prom.Source, q analysis.Query, from, to time.Time) ([]prom.Series, error) {
	var all []prom.Series
	index := map[string]int{}
	for at := from; at.Before(to); at = at.Add(recordChunk) {
		q.From, q.To = at, at.Add(recordChunk)
		if q.To.After(to) {
			q.To = to
		}
		series, err := source.Raw(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			key := string(s.Labels.Bytes(nil))
			i, ok := index[key]
			if !ok {
				i = len(all)
				index[key] = i
				all = append(all, prom.Series{Labels: s.Labels})
			}
			all[i].Points = append(all[i].Points, s.Points...)
		}
	}
	return all, nil
}

// writeRecording writes to a file that is only there when it is whole.
func writeRecording(path string, stdout io.Writer, series []prom.Series) (err error) {
	if path == "-" {
		return recording.Write(stdout, series)
	}
	for _, s := range series {
		if len(s.Points) > 0 && s.Points[0].H != nil {
			return fmt.Errorf("%s is a native histogram, which OpenMetrics text cannot hold: copy the server's TSDB directory instead", s.Labels.Get(labels.MetricName))
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".fairlead-record-*")
	if err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	var w io.WriteCloser = f
	switch {
	case strings.HasSuffix(path, ".gz"):
		w = gzip.NewWriter(f)
	case strings.HasSuffix(path, ".zst"):
		if w, err = zstd.NewWriter(f); err != nil {
			return err
		}
	}
	if err = recording.Write(w, series); err != nil {
		return err
	}
	if w != io.WriteCloser(f) {
		if err = w.Close(); err != nil {
			return err
		}
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Chmod(f.Name(), 0o644); err != nil { //nolint:gosec // a recording is for others to read, as any file a user makes
		return err
	}
	return os.Rename(f.Name(), path)
}
