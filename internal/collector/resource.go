package collector

// Resource returns the Collector as a resource of the OpenTelemetry operator,
// with its ServiceAccount and the permissions that Kubernetes events need.
func Resource(o Options) ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	account := o.Name + "-collector"
	meta := func(name string) object { return object{"name": name, "namespace": o.Namespace} }
	docs := []any{object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account)}}
	if !o.NoEvents {
		docs = append(docs, o.permissions(account)...)
	}
	spec := object{
		"mode": "deployment", "replicas": 1, // of several each would send every event
		"serviceAccount": account,
		"config":         o.config(),
		"resources":      object{"requests": object{"cpu": "100m", "memory": "256Mi"}, "limits": object{"memory": "512Mi"}},
		"securityContext": object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
			"capabilities": object{"drop": []string{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"}},
	}
	if o.Image != "" {
		spec["image"] = o.Image
	}
	if o.TokenEnv != "" && o.TokenSecret != "" {
		spec["env"] = []object{{"name": o.TokenEnv, "valueFrom": object{"secretKeyRef": object{"name": o.TokenSecret, "key": "token"}}}}
	}
	docs = append(docs, object{"apiVersion": "opentelemetry.io/v1beta1", "kind": "OpenTelemetryCollector", "metadata": meta(o.Name), "spec": spec})
	return document(docs...)
}

// permissions are what reading events needs: in all namespaces, or in those that
// were named.
func (o Options) permissions(account string) []any {
	rules := []object{{"apiGroups": []string{"", "events.k8s.io"}, "resources": []string{"events"}, "verbs": []string{"get", "list", "watch"}}}
	subjects := []object{{"kind": "ServiceAccount", "name": account, "namespace": o.Namespace}}
	name := o.Name + "-events"
	bound := func(kind, roleKind string, metadata object) object {
		return object{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
			"roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": roleKind, "name": name}, "subjects": subjects}
	}
	if len(o.Events) == 0 {
		return []any{
			object{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": name}, "rules": rules},
			bound("ClusterRoleBinding", "ClusterRole", object{"name": name}),
		}
	}
	var out []any
	for _, namespace := range o.Events {
		metadata := object{"name": name, "namespace": namespace}
		out = append(out, object{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
			bound("RoleBinding", "Role", metadata))
	}
	return out
}
