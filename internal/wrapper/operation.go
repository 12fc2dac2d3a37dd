package wrapper

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
)

// maxChartYAML bounds what is read of a chart's Chart.yaml.
const maxChartYAML = 64 << 10

// begin returns the operation as the command line alone tells it.
func begin(inv helm.Invocation) release.Operation {
	op := release.Operation{
		Command: inv.Verb, Kind: release.Kind(inv.Verb), State: release.StateRunning,
		Observers: []release.Observer{release.ObserverWrapper},
		Release:   inv.Release, RollbackTo: inv.Revision,
	}
	switch inv.Verb {
	case helm.VerbInstall, helm.VerbUpgrade:
		op.Wait = inv.Wait
		op.ChartName, op.ChartVersion = chartOf(inv)
	case helm.VerbRollback, helm.VerbUninstall:
		op.Wait = inv.Wait
	}
	return op
}

// chartOf names the chart from the command line: what an operation that never
// got a record has. A chart in a directory says it itself; of a repository's or
// registry's only the name is there, and the version when one was asked for.
func chartOf(inv helm.Invocation) (name, version string) {
	if inv.Chart == "" {
		return "", ""
	}
	if f, err := os.Open(filepath.Join(inv.Chart, "Chart.yaml")); err == nil {
		defer func() { _ = f.Close() }()
		data := make([]byte, maxChartYAML)
		n, _ := f.Read(data)
		var meta struct{ Name, Version string }
		if yaml.Unmarshal(data[:n], &meta) == nil && meta.Name != "" {
			return meta.Name, meta.Version
		}
	}
	address, _, _ := strings.Cut(inv.Chart, "?")
	base := path.Base(strings.TrimSuffix(address, "/"))
	if base == "." || base == "/" {
		return "", inv.ChartVersion
	}
	return strings.TrimSuffix(base, ".tgz"), inv.ChartVersion
}

// bindRecord fills in what the record that the operation made tells.
func bindRecord(op *release.Operation, r release.Record, firstStatus string) {
	op.ID = release.ID(op.Kind, r.UID)
	op.Revision = r.Revision
	op.Release = r.Name
	if r.Chart != "" {
		op.ChartName, op.ChartVersion, op.AppVersion = r.Chart, r.Version, r.AppVersion
	}
	if names := r.ObjectNames(); names != "" {
		op.Extra = maps.Clone(op.Extra) // other operations of this run share it
		if op.Extra == nil {
			op.Extra = make(map[string]string)
		}
		op.Extra[release.AttrObjects] = names
	}
	if op.Kind == release.KindRollback && r.RollbackTo > 0 {
		op.RollbackTo = r.RollbackTo
	}
	if op.Kind == release.KindUpgrade && (firstStatus == "pending-install" || r.Status == "pending-install") {
		op.Kind = release.KindInstall // upgrade --install of a release that was not there
	}
}

// fillFromTracker completes the operation with what the records showed. known
// is whether they could be read at all: without that nothing is claimed.
func fillFromTracker(op *release.Operation, t *tracker, known bool) {
	if name := t.releaseName(); name != "" {
		op.Release = name
	}
	if !known {
		return
	}
	prev := t.deployedBefore()
	op.PreviousRevision = &prev
	if op.Kind == release.KindUninstall || op.Kind == release.KindTest {
		if r, ok := t.current(); ok {
			op.ID = release.ID(op.Kind, r.UID)
			op.Revision = r.Revision
			op.ChartName, op.ChartVersion, op.AppVersion = r.Chart, r.Version, r.AppVersion
		}
		return
	}
	if r, ok := t.own(); ok {
		bindRecord(op, r, t.firstStatus(r.Revision))
		if _, existed := t.current(); !existed && op.Kind == release.KindUpgrade {
			op.Kind = release.KindInstall // its pending-install was too short to be seen
		}
	}
}
