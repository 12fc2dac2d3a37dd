package operations

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"fairlead.dev/fairlead/internal/release"
)

// objects records which objects belong to the operation's release.
func (w *writer) objects(op release.Operation) error {
	if op.Kind == release.KindUninstall && op.Succeeded() {
		return w.exec("DELETE FROM objects WHERE namespace = ? AND release = ? AND cluster = ?", op.Namespace, op.Release, op.Cluster)
	}
	for object := range strings.SplitSeq(op.Extra[release.AttrObjects], ",") {
		kind, name, ok := strings.Cut(object, "/")
		if !ok {
			continue
		}
		err := w.exec(`INSERT INTO objects (namespace, kind, name, cluster, release) VALUES (?, ?, ?, ?, ?)
		  ON CONFLICT DO UPDATE SET release = excluded.release WHERE release <> excluded.release`, op.Namespace, kind, name, op.Cluster, op.Release)
		if err != nil {
			return err
		}
	}
	return nil
}

// JoinEvents stamps records of Kubernetes events that carry no release (the
// OpenTelemetry Collector's k8s_events and k8sobjects receivers send such) with
// the release, revision, operation and trace that their object belongs to: by
// the manifests of recorded operations, and the names that controllers make
// from those of their objects. Records whose object is not known stay without.
// What k8sobjects sends is described as k8s_events does it; see [describeObjects].
func (s *Store) JoinEvents(ctx context.Context, ld plog.Logs) error {
	describeObjects(ld)
	j := joiner{store: s, found: make(map[eventObject]*release.Operation)}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				o, ok := objectOfEvent(rl.Resource().Attributes(), rec)
				if !ok {
					continue
				}
				op, err := j.operation(ctx, o)
				if err != nil {
					return err
				}
				if op != nil {
					stamp(rec, *op)
				}
			}
		}
	}
	return nil
}

// eventObject is the object of an event.
type eventObject struct{ cluster, namespace, kind, name string }

// objectOfEvent reads whose event a record is; ok is false for other records,
// and for those that are stamped already.
func objectOfEvent(res pcommon.Map, rec plog.LogRecord) (o eventObject, ok bool) {
	attrs := rec.Attributes()
	if _, stamped := attrs.Get(release.AttrRelease); stamped {
		return o, false
	}
	o = eventObject{cluster: text(res, release.AttrCluster), kind: text(res, "k8s.object.kind"), name: text(res, "k8s.object.name"), namespace: text(attrs, "k8s.namespace.name")}
	if o.kind != "" {
		if o.namespace == "" {
			o.namespace = text(res, "k8s.namespace.name")
		}
		return o, o.name != "" && o.namespace != ""
	}
	return o, false
}

// owners are the objects that may have made the object, itself first: a
// controller's pods are named after it.
func (o eventObject) owners() []eventObject {
	out := []eventObject{o}
	add := func(parts int, kinds ...string) {
		name := o.name
		for range parts {
			i := strings.LastIndexByte(name, '-')
			if i <= 0 {
				return
			}
			name = name[:i]
		}
		for _, kind := range kinds {
			out = append(out, eventObject{o.cluster, o.namespace, kind, name})
		}
	}
	switch o.kind {
	case release.KindPod:
		add(1, release.KindStatefulSet, release.KindDaemonSet, release.KindJob, release.KindReplicaSet)
		add(2, release.KindDeployment, "CronJob")
	case release.KindReplicaSet:
		add(1, release.KindDeployment)
	case release.KindJob:
		add(1, "CronJob")
	}
	return out
}

type joiner struct {
	store *Store
	found map[eventObject]*release.Operation
}

// operation returns the newest operation of the release that an object belongs
// to, nil for none.
func (j *joiner) operation(ctx context.Context, o eventObject) (*release.Operation, error) {
	if op, asked := j.found[o]; asked {
		return op, nil
	}
	j.found[o] = nil
	for _, owner := range o.owners() {
		cluster, name, err := j.store.releaseOf(ctx, owner)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		ops, err := j.store.query(ctx, "WHERE namespace = ? AND release = ? AND cluster = ? AND kind <> 'test' ORDER BY start_ns DESC, key LIMIT 1", o.namespace, name, cluster)
		if err != nil {
			return nil, err
		}
		if len(ops) > 0 {
			j.found[o] = &ops[0]
			return &ops[0], nil
		}
	}
	return nil, nil
}

// releaseOf returns the release that an object is in the manifest of, "" for
// none, or for several clusters' where the event does not say which it is of.
func (s *Store) releaseOf(ctx context.Context, o eventObject) (cluster, name string, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT cluster, release FROM objects WHERE namespace = ? AND kind = ? AND name = ? AND (? = '' OR cluster = ?) LIMIT 2",
		o.namespace, o.kind, o.name, o.cluster, o.cluster)
	if err != nil {
		return "", "", err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if err := rows.Scan(&cluster, &name); err != nil {
			return "", "", errors.Join(err, rows.Err())
		}
		n++
	}
	if n != 1 {
		return "", "", rows.Err()
	}
	return cluster, name, rows.Err()
}

func stamp(rec plog.LogRecord, op release.Operation) {
	attrs := rec.Attributes()
	attrs.PutStr(release.AttrRelease, op.Release)
	attrs.PutStr(release.AttrNamespace, op.Namespace)
	attrs.PutStr(release.AttrID, op.ID)
	if op.Revision > 0 {
		attrs.PutInt(release.AttrRevision, int64(op.Revision))
	}
	if !rec.TraceID().IsEmpty() {
		return
	}
	var traceID pcommon.TraceID
	var spanID pcommon.SpanID
	if n, err := hex.Decode(traceID[:], []byte(op.TraceID)); err != nil || n != len(traceID) {
		return
	}
	if n, err := hex.Decode(spanID[:], []byte(op.SpanID)); err != nil || n != len(spanID) {
		return
	}
	rec.SetTraceID(traceID)
	rec.SetSpanID(spanID)
}
