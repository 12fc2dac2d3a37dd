package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/release"
)

// releaseOptions are what `fairlead release NAME` was asked.
type releaseOptions struct {
	streams   Streams
	server    serverFlags
	direct    directFlags
	output    outputFlag
	cluster   string
	namespace string
	revision  int
	why       bool
	limit     int
	now       func() time.Time
}

func newReleaseCommand(s Streams) *cobra.Command {
	o := releaseOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Show the history of one release, and why a revision failed",
		Long: `Show the operations of one release, newest first, and why one of them failed.

The record is the server's. With --direct, or when no server was named and none
listens on this machine, it is read from Helm's own records in the cluster: the
revisions that Helm keeps, and Helm's word for a failure as its cause.`,
		Example: `  fairlead release checkout -n shop
  fairlead release checkout -n shop --direct
  fairlead release checkout -n shop --why
  fairlead release checkout -n shop --revision 7 --why -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			if o.revision < 0 {
				return fmt.Errorf("--revision %d: want a revision from 1", o.revision)
			}
			return runRelease(cmd.Context(), o, args[0])
		},
	}
	o.server.bind(cmd)
	o.direct.bind(cmd)
	o.output.bind(cmd, "table", "json", "yaml")
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "k8s.cluster.name; needed where the release stands in several")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the release")
	cmd.Flags().IntVar(&o.revision, "revision", 0, "only this revision")
	cmd.Flags().BoolVar(&o.why, "why", false, "say why it failed: cause, and the state of the cluster at that moment (the last failure unless --revision says which)")
	cmd.Flags().IntVar(&o.limit, "limit", 50, "at most this many operations")
	return cmd
}

func runRelease(ctx context.Context, o releaseOptions, name string) error {
	detail, err := fromServerOrCluster(o.streams, o.server, o.direct,
		func() (api.ReleaseDetail, error) {
			return o.server.client().Release(ctx, o.namespace, name, url.Values{"cluster": {o.cluster}, "limit": {strconv.Itoa(o.limit)}})
		},
		func() (api.ReleaseDetail, error) { return clusterRelease(ctx, o, name) })
	if err != nil {
		return err
	}
	if o.revision > 0 {
		detail.Operations = ofRevision(detail.Operations, o.revision)
		if len(detail.Operations) == 0 {
			return fmt.Errorf("release %s/%s: no record of revision %d; `fairlead release %s -n %s` lists what there is", o.namespace, name, o.revision, name, o.namespace)
		}
	}
	if o.why {
		return runWhy(ctx, o, detail)
	}
	if done, err := o.output.encode(o.streams.Out, detail); done {
		return err
	}
	return printRelease(o.streams.Out, detail, o.now())
}

func ofRevision(ops []api.Operation, revision int) (out []api.Operation) {
	for _, op := range ops {
		if op.Revision == revision {
			out = append(out, op)
		}
	}
	return out
}

func printRelease(w io.Writer, d api.ReleaseDetail, now time.Time) error {
	r := d.Release
	fmt.Fprintf(w, "%s/%s: %s, revision %d", r.Namespace, r.Name, status(r, now), r.Revision)
	if r.Chart != "" {
		fmt.Fprintf(w, ", chart %s", chart(r.Chart, r.ChartVersion))
	}
	if r.Cluster != "" {
		fmt.Fprintf(w, ", cluster %s", r.Cluster)
	}
	fmt.Fprintln(w)
	if r.Counts != nil {
		fmt.Fprintf(w, "%d deploys (%d failed), %d rollbacks, ", r.Deploys, r.FailedDeploys, r.Rollbacks)
	}
	fmt.Fprintf(w, "%d failed in a row\n\n", r.ConsecutiveFailures)
	rows := [][]string{{"REVISION", "OPERATION", "STATE", "STARTED", "TOOK", "TRACE", "CAUSE"}}
	for _, op := range d.Operations {
		rows = append(rows, []string{number(int64(op.Revision)), operationName(op), op.State, ago(now, op.Start), took(op.DurationSeconds), op.TraceID, op.Cause})
	}
	return table(w, rows)
}

func operationName(op api.Operation) string {
	name := op.Kind
	if op.RollbackToRevision > 0 {
		name += " to " + strconv.Itoa(op.RollbackToRevision)
	}
	if op.Automatic {
		name += " (automatic)"
	}
	return name
}

// whyReport is the answer to --why as JSON or YAML.
type whyReport struct {
	Operation api.Operation `json:"operation"`
	Snapshot  *api.Snapshot `json:"snapshot,omitempty"`
}

func runWhy(ctx context.Context, o releaseOptions, d api.ReleaseDetail) error {
	var report whyReport
	for _, op := range d.Operations {
		if op.State == string(release.StateFailed) || op.State == string(release.StateCancelled) {
			report.Operation = op
			break
		}
	}
	if report.Operation.ID == "" {
		fmt.Fprintf(o.streams.Err, "None of the %d operations shown failed.\n", len(d.Operations))
		return nil
	}
	if d.Source == api.SourceServer {
		snap, err := o.server.client().Snapshot(ctx, report.Operation.ID)
		var missing *api.StatusError
		switch {
		case err == nil:
			report.Snapshot = &snap
		case errors.As(err, &missing) && missing.Status == 404:
		default:
			return err
		}
	}
	if done, err := o.output.encode(o.streams.Out, report); done {
		return err
	}
	return printWhy(o.streams.Out, report)
}

func printWhy(w io.Writer, report whyReport) error {
	op := report.Operation
	fmt.Fprintf(w, "%s of revision %d %s", operationName(op), op.Revision, op.State)
	if op.Start != nil {
		fmt.Fprintf(w, ", started %s, took %s", op.Start.Format(time.RFC3339), took(op.DurationSeconds))
	}
	fmt.Fprintf(w, "\ncause (%s): %s\n", orUnknown(op.ErrorType), orUnknown(op.Cause))
	if op.TraceID != "" {
		fmt.Fprintf(w, "trace: %s\n", op.TraceID)
	}
	switch {
	case report.Snapshot == nil:
		fmt.Fprintln(w, "\nNo snapshot of the cluster was taken: nobody who may read it was watching.")
		return nil
	case report.Snapshot.Text != "":
		fmt.Fprintf(w, "\n%s\n", report.Snapshot.Text)
		return nil
	}
	var s release.Snapshot
	if err := json.Unmarshal(report.Snapshot.State, &s); err != nil {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	fmt.Fprintf(w, "\nThe cluster at %s:\n", report.Snapshot.At.Format(time.RFC3339))
	return printSnapshot(w, s)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
