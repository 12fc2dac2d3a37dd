package kube

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/release"
)

// storageResource returns the resource in which Helm's storage driver keeps
// records; "" for drivers that keep none in the cluster.
func storageResource(driver string) string {
	switch driver {
	case "", "secret", "secrets":
		return "secrets"
	case "configmap", "configmaps":
		return "configmaps"
	}
	return ""
}

// recordFromMetadata reads what a record's metadata tells; ok is false when it
// is no record of Helm's.
func recordFromMetadata(m *metav1.PartialObjectMetadata) (r *release.Record, ok bool) {
	revision, err := strconv.Atoi(m.Labels["version"])
	if err != nil || m.Labels["name"] == "" || m.Labels["owner"] != "helm" {
		return nil, false
	}
	rest, ok := strings.CutPrefix(m.Name, recordPrefix+m.Labels["name"]+".v")
	if !ok || rest != strconv.Itoa(revision) {
		return nil, false // somebody else's object with Helm's labels
	}
	r = &release.Record{
		Ref:      release.Ref{Namespace: shared(m.Namespace), Name: shared(m.Labels["name"])},
		Revision: revision,
		Status:   shared(m.Labels["status"]),
		UID:      strings.Clone(string(m.UID)), // apart from what was decoded with it
		Created:  m.CreationTimestamp.UTC(),
	}
	for _, f := range m.ManagedFields {
		if f.Time != nil && !f.Time.UTC().Before(r.Modified) {
			r.Manager, r.Modified = shared(f.Manager), f.Time.UTC()
		}
	}
	return r, true
}

// shared returns the one copy of a text that many records repeat.
func shared(s string) string { return unique.Make(s).Value() }

const recordPrefix = "sh.helm.release.v1."

// recordName is the name of the Secret or ConfigMap of a revision.
func recordName(ref release.Ref, revision int) string {
	return fmt.Sprintf("%s%s.v%d", recordPrefix, ref.Name, revision)
}

// errUndecodable is wrapped by the errors of [fetchRecord] that another try
// would only repeat.
var errUndecodable = errors.New("decode the record")

// fetchRecord reads one record and adds what its body tells to what its
// metadata told. An error leaves the record as it was.
func fetchRecord(ctx context.Context, c *Client, storage string, decode func([]byte) (release.Record, error), known release.Record) (release.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	name := recordName(known.Ref, known.Revision)
	var data []byte
	if storage == "secrets" {
		s, err := c.typed.CoreV1().Secrets(known.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return known, err
		}
		data = s.Data["release"]
		known.Status = label(s.ObjectMeta, "status", known.Status)
	} else {
		var s *corev1.ConfigMap
		s, err := c.typed.CoreV1().ConfigMaps(known.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return known, err
		}
		data = []byte(s.Data["release"])
		known.Status = label(s.ObjectMeta, "status", known.Status)
	}
	body, err := decode(data)
	if err != nil {
		return known, fmt.Errorf("%w %s: %w", errUndecodable, name, err)
	}
	body.Ref, body.Revision, body.Status = known.Ref, known.Revision, known.Status
	body.UID, body.Created = known.UID, known.Created
	body.Manager, body.Modified = known.Manager, known.Modified
	for i := range body.Hooks {
		body.Hooks[i].Namespace = orDefault(body.Hooks[i].Namespace, known.Namespace)
	}
	for i := range body.Objects {
		body.Objects[i].Namespace = orDefault(body.Objects[i].Namespace, known.Namespace)
	}
	return body, nil
}

func label(m metav1.ObjectMeta, key, otherwise string) string {
	return orDefault(m.Labels[key], otherwise)
}
