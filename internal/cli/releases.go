package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/api"
)

// releasesOptions are what `fairlead releases` was asked.
type releasesOptions struct {
	streams     Streams
	server      serverFlags
	direct      directFlags
	output      outputFlag
	cluster     string
	namespace   string
	uninstalled bool
	limit       int
	now         func() time.Time
}

func newReleasesCommand(s Streams) *cobra.Command {
	o := releasesOptions{streams: s, now: time.Now}
	cmd := &cobra.Command{
		Use:   "releases [PART-OF-NAME]",
		Short: "List the Helm releases: the server's record of them, or the cluster's",
		Long: `List every release with its revision, its last deploy and how that ended.

The record is the server's (fairlead server), fed by fairlead helm and the agent.
With --direct, or when no server was named and none listens on this machine, it
is read from Helm's own records in the cluster of the kubeconfig.`,
		Example: `  fairlead releases
  fairlead releases --direct --kube-context staging
  fairlead releases checkout --namespace shop
  fairlead releases -o json | jq '.releases[] | select(.consecutiveFailures > 0)'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			part := ""
			if len(args) > 0 {
				part = args[0]
			}
			return runReleases(cmd.Context(), o, part)
		},
	}
	o.server.bind(cmd)
	o.direct.bind(cmd)
	o.output.bind(cmd, "table", "wide", "json", "yaml", "name")
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "only this cluster (k8s.cluster.name)")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "only this namespace")
	cmd.Flags().BoolVar(&o.uninstalled, "uninstalled", false, "also releases that are gone")
	cmd.Flags().IntVar(&o.limit, "limit", 0, "at most this many (default all)")
	return cmd
}

func runReleases(ctx context.Context, o releasesOptions, part string) error {
	list, err := fromServerOrCluster(o.streams, o.server, o.direct,
		func() (api.ReleaseList, error) { return allReleases(ctx, o, part) },
		func() (api.ReleaseList, error) { return clusterReleases(ctx, o, part) })
	if err != nil {
		return err
	}
	if done, err := o.output.encode(o.streams.Out, list); done {
		return err
	}
	if o.output.value == "name" {
		for _, r := range list.Releases {
			fmt.Fprintf(o.streams.Out, "%s/%s\n", r.Namespace, r.Name)
		}
		return nil
	}
	if len(list.Releases) == 0 {
		if list.Source == api.SourceServer {
			fmt.Fprintln(o.streams.Err, "No releases. The server records them from fairlead helm and from the agent.")
		} else {
			fmt.Fprintln(o.streams.Err, "No releases in the cluster.")
		}
		return nil
	}
	return table(o.streams.Out, releaseRows(list.Releases, o.now(), o.output.value == "wide"))
}

// allReleases follows the pages up to the limit.
func allReleases(ctx context.Context, o releasesOptions, part string) (api.ReleaseList, error) {
	all := api.ReleaseList{Source: api.SourceServer, Releases: []api.Release{}}
	q := url.Values{"q": {part}, "cluster": {o.cluster}, "namespace": {o.namespace}, "uninstalled": {strconv.FormatBool(o.uninstalled)}}
	for {
		page, err := o.server.client().Releases(ctx, q)
		if err != nil {
			return all, err
		}
		all.Releases = append(all.Releases, page.Releases...)
		if o.limit > 0 && len(all.Releases) >= o.limit {
			all.Releases = all.Releases[:o.limit]
			return all, nil
		}
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

func releaseRows(releases []api.Release, now time.Time, wide bool) [][]string {
	head := []string{"NAMESPACE", "NAME", "REVISION", "STATUS", "CHART", "LAST DEPLOY", "TOOK", "FAILED IN A ROW"}
	if wide {
		head = append(head, "CLUSTER", "APP VERSION", "DEPLOYS", "FAILED", "ROLLBACKS", "CAUSE")
	}
	rows := [][]string{head}
	for _, r := range releases {
		row := []string{
			r.Namespace, r.Name, number(int64(r.Revision)), status(r, now), chart(r.Chart, r.ChartVersion),
			ago(now, r.LastDeploy), took(r.LastDurationSeconds), strconv.Itoa(r.ConsecutiveFailures),
		}
		if wide {
			cause := ""
			if r.LastOperation != nil {
				cause = r.LastOperation.Cause
			}
			row = append(append(row, r.Cluster, r.AppVersion), append(counts(r), cause)...)
		}
		rows = append(rows, row)
	}
	return rows
}

// counts are the cells of a release's counters, empty where nobody counted.
func counts(r api.Release) []string {
	if r.Counts == nil {
		return []string{"", "", ""}
	}
	return []string{strconv.FormatInt(r.Deploys, 10), strconv.FormatInt(r.FailedDeploys, 10), strconv.FormatInt(r.Rollbacks, 10)}
}

func status(r api.Release, now time.Time) string {
	if r.PendingSince != nil {
		return r.Status + " for " + short(now.Sub(*r.PendingSince))
	}
	return r.Status
}

func chart(name, version string) string {
	if version == "" {
		return name
	}
	return name + "-" + version
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func took(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return short(time.Duration(seconds * float64(time.Second)))
}
