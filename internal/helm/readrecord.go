package helm

import "fairlead.dev/fairlead/internal/release"

// ReadRecord decodes a stored record, as [DecodeRecord] does, into what package
// release works with. What only the Secret's own metadata tells (UID, times,
// who wrote it) is left empty.
func ReadRecord(data []byte) (release.Record, error) {
	h, err := DecodeRecord(data)
	if err != nil {
		return release.Record{}, err
	}
	r := release.Record{
		Ref: release.Ref{Namespace: h.Namespace, Name: h.Name}, Revision: h.Revision, Status: h.Status, Description: h.Description,
		Chart: h.ChartName, Version: h.ChartVersion, AppVersion: h.AppVersion,
		FirstDeployed: h.FirstDeployed, LastDeployed: h.LastDeployed, RollbackTo: h.RollbackTarget(),
	}
	for _, o := range h.Objects {
		r.Objects = append(r.Objects, release.ObjectRef{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name})
	}
	for _, hk := range h.Hooks {
		r.Hooks = append(r.Hooks, release.Hook{
			ObjectRef: release.ObjectRef{Kind: hk.Kind, Namespace: hk.Namespace, Name: hk.Name},
			Events:    hk.Events, Phase: hk.Phase, Started: hk.Started, Completed: hk.Completed,
		})
	}
	return r, nil
}
