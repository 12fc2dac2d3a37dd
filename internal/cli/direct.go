package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/release"
)

// directFlags say how Helm's own records in a cluster are read.
type directFlags struct {
	only       bool
	kubeconfig string
	context    string
}

func (f *directFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.only, "direct", false, "read Helm's records in the cluster, ask no server")
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "path of the kubeconfig (default KUBECONFIG, then ~/.kube/config)")
	cmd.Flags().StringVar(&f.context, "kube-context", os.Getenv("HELM_KUBECONTEXT"), "context of the kubeconfig; HELM_KUBECONTEXT")
}

func (f *directFlags) client() (*kube.Client, error) {
	kube.SilenceClientLogs()
	return kube.NewClient(kube.ClientOptions{Kubeconfig: f.kubeconfig, Context: f.context})
}

// fromServerOrCluster asks the server, or the cluster when told so, or when no
// server was named and none listens where one would be. A server that was named
// and does not answer is an error: nobody asked for another source.
func fromServerOrCluster[T any](s Streams, server serverFlags, direct directFlags, ask, read func() (T, error)) (T, error) {
	if direct.only {
		return read()
	}
	answer, err := ask()
	switch {
	case !errors.Is(err, api.ErrNoServer):
		return answer, err
	case server.url != "":
		return answer, fmt.Errorf("%w\nhint: start one with `fairlead server`, name yours with --server or FAIRLEAD_SERVER, or read the cluster with --direct", err)
	}
	answer, clusterErr := read()
	if clusterErr != nil {
		return answer, fmt.Errorf("%w, and the cluster cannot be read either: %w\nhint: start one with `fairlead server`, or name yours with --server or FAIRLEAD_SERVER", err, clusterErr)
	}
	fmt.Fprintf(s.Err, "No server at %s: read from Helm's records in the cluster.\n", api.DefaultServer)
	return answer, nil
}

// clusterReleases lists the releases of the cluster's own records. For each it
// reads the newest record, and older ones only back to the last deploy that
// went well.
func clusterReleases(ctx context.Context, o releasesOptions, part string) (api.ReleaseList, error) {
	list := api.ReleaseList{Source: api.SourceCluster, Releases: []api.Release{}}
	c, err := o.direct.client()
	if err != nil {
		return list, err
	}
	if o.cluster != "" && o.cluster != c.ClusterName() {
		return list, fmt.Errorf("--cluster %q: the cluster of the kubeconfig is called %q; choose one with --kube-context, and name it with FAIRLEAD_CLUSTER_NAME", o.cluster, c.ClusterName())
	}
	records, err := kube.ListRecords(ctx, c, kube.RecordQuery{Namespace: o.namespace, Driver: helmDriver()})
	if apierrors.IsForbidden(err) && o.namespace == "" {
		return list, fmt.Errorf("%w\nhint: name a namespace that you may read with --namespace", err)
	}
	if err != nil {
		return list, err
	}
	for _, history := range histories(records) {
		newest := history[0]
		if !strings.Contains(newest.Name, part) || newest.Status == "uninstalled" && !o.uninstalled {
			continue
		}
		ops, err := readHistory(ctx, c, history, func(op release.Operation) bool { return op.Kind.Deploy() && op.Succeeded() })
		if err != nil {
			return list, err
		}
		list.Releases = append(list.Releases, fromRecords(ops).Release)
		if len(list.Releases) == o.limit {
			break
		}
	}
	return list, nil
}

// clusterRelease reads the records of one release.
func clusterRelease(ctx context.Context, o releaseOptions, name string) (api.ReleaseDetail, error) {
	c, err := o.direct.client()
	if err != nil {
		return api.ReleaseDetail{}, err
	}
	records, err := kube.ListRecords(ctx, c, kube.RecordQuery{Namespace: o.namespace, Release: name, Driver: helmDriver()})
	if err != nil {
		return api.ReleaseDetail{}, err
	}
	if len(records) == 0 {
		return api.ReleaseDetail{}, fmt.Errorf("release %s/%s: not found in the cluster; `fairlead releases --direct` lists what there is", o.namespace, name)
	}
	read := 0
	ops, err := readHistory(ctx, c, histories(records)[0], func(release.Operation) bool { read++; return read >= o.limit })
	if err != nil {
		return api.ReleaseDetail{}, err
	}
	return fromRecords(ops), nil
}

// histories groups records by release, in the order of namespace and name, the
// newest revision first.
func histories(records []release.Record) [][]release.Record {
	slices.SortFunc(records, func(a, b release.Record) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), cmp.Compare(b.Revision, a.Revision))
	})
	var out [][]release.Record
	for i, r := range records {
		if i == 0 || records[i-1].Ref != r.Ref {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

// readHistory reads the records of one release, newest first, until enough. A
// record that is gone meanwhile is left out: Helm prunes its history.
func readHistory(ctx context.Context, c *kube.Client, history []release.Record, enough func(release.Operation) bool) ([]release.Operation, error) {
	var ops []release.Operation
	for i, known := range history {
		r, err := kube.ReadRecord(ctx, c, helmDriver(), helm.ReadRecord, known)
		if apierrors.IsNotFound(err) && len(history) > 1 {
			continue
		}
		if err != nil {
			return nil, err
		}
		op := r.Operation(i == 0)
		op.Cluster = c.ClusterName()
		ops = append(ops, op)
		if enough(op) {
			break
		}
	}
	if len(ops) == 0 {
		return nil, fmt.Errorf("release %s: its records were removed while they were read", history[0].Ref)
	}
	return ops, nil
}

// fromRecords describes a release by what its records tell. Where the end of
// the last good deploy was written over, its start stands for it.
func fromRecords(ops []release.Operation) api.ReleaseDetail {
	d := api.FromOperations(ops)
	d.Source = api.SourceCluster
	if d.LastDeploy == nil {
		for _, op := range ops {
			if op.Kind.Deploy() && op.Succeeded() {
				d.LastDeploy = &op.Start
				break
			}
		}
	}
	return d
}

func helmDriver() string { return strings.ToLower(os.Getenv("HELM_DRIVER")) }
