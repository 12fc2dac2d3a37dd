package rbac

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Options say for whom and where permissions are granted.
type Options struct {
	Part Part
	// Namespaces of the releases. Empty: the whole cluster. Then nodes and the
	// cluster's UID are not among what is granted; the part says so once.
	Namespaces []string
	// Own is the namespace of the part; default fairlead.
	Own string
	// ServiceAccount is the part's; default fairlead-<part>.
	ServiceAccount string
	// Storage is Helm's: secrets (default) or configmaps.
	Storage string
}

// Validate names the field that cannot be used, and its value.
func (o Options) Validate() error {
	if !slices.Contains(Parts, o.Part) {
		return fmt.Errorf("part %q: want one of %v", o.Part, Parts)
	}
	if o.Storage != "" && o.Storage != "secrets" && o.Storage != "configmaps" {
		return fmt.Errorf("storage %q: want secrets or configmaps", o.Storage)
	}
	for _, ns := range o.Namespaces {
		if ns == "" {
			return errors.New("namespace \"\": want a name, or none at all for the whole cluster")
		}
	}
	return nil
}

// Manifests returns the ServiceAccount, roles and bindings as YAML documents.
func Manifests(o Options) ([]byte, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Own == "" {
		o.Own = "fairlead"
	}
	name := "fairlead-" + string(o.Part)
	if o.ServiceAccount == "" {
		o.ServiceAccount = name
	}
	if o.Storage == "" {
		o.Storage = "secrets"
	}
	objects := []any{&corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: o.meta(o.ServiceAccount, o.Own)}}
	releases := Rules(o.Part, InReleases, o.Storage)
	if len(o.Namespaces) == 0 {
		rules := append(releases, Rules(o.Part, InCluster, o.Storage)...)
		objects = append(objects,
			&rbacv1.ClusterRole{TypeMeta: kind(rbacv1.SchemeGroupVersion.String(), "ClusterRole"), ObjectMeta: o.meta(name, ""), Rules: rules},
			&rbacv1.ClusterRoleBinding{TypeMeta: kind(rbacv1.SchemeGroupVersion.String(), "ClusterRoleBinding"), ObjectMeta: o.meta(name, ""),
				RoleRef: roleRef("ClusterRole", name), Subjects: o.subjects()})
	}
	for _, ns := range o.Namespaces {
		objects = append(objects, o.role(name, ns, releases)...)
	}
	if own := Rules(o.Part, InOwn, o.Storage); len(own) > 0 {
		objects = append(objects, o.role(name+"-own", o.Own, own)...)
	}
	var out bytes.Buffer
	for i, obj := range objects {
		doc, err := yaml.Marshal(obj)
		if err != nil {
			return nil, fmt.Errorf("write permissions: %w", err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}

func (o Options) role(name, namespace string, rules []rbacv1.PolicyRule) []any {
	version := rbacv1.SchemeGroupVersion.String()
	return []any{
		&rbacv1.Role{TypeMeta: kind(version, "Role"), ObjectMeta: o.meta(name, namespace), Rules: rules},
		&rbacv1.RoleBinding{TypeMeta: kind(version, "RoleBinding"), ObjectMeta: o.meta(name, namespace),
			RoleRef: roleRef("Role", name), Subjects: o.subjects()},
	}
}

func (o Options) meta(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{
		"app.kubernetes.io/name": "fairlead", "app.kubernetes.io/component": string(o.Part),
	}}
}

func (o Options) subjects() []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: o.ServiceAccount, Namespace: o.Own}}
}

func roleRef(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func kind(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}
