// Package rbac is the one table of what fairlead asks of a Kubernetes API, and
// the manifests that grant it.
//
// [Uses] is the table. [Rules] turns a part's rows into the rules of a role, and
// [Manifests] into everything that is applied: for a whole cluster, or for
// chosen namespaces.
package rbac

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Part is a part of fairlead with an identity of its own in the cluster.
type Part string

// The parts.
const (
	PartAgent      Part = "agent"      // fairlead agent
	PartController Part = "controller" // fairlead controller
	PartWrapper    Part = "wrapper"    // fairlead helm, beside what Helm itself needs
	PartRollout    Part = "rollout"    // fairlead rollout run, beside what Helm and the wrapper need
)

// Parts are all parts, for messages and completion.
var Parts = []Part{PartAgent, PartController, PartWrapper, PartRollout}

// Where says in which role a use belongs.
type Where string

// The places of a use.
const (
	// InReleases are the namespaces of releases: all, or the chosen ones.
	InReleases Where = "releases"
	// InCluster are objects without a namespace, or of kube-system.
	InCluster Where = "cluster"
	// InOwn is the namespace that the part itself runs in.
	InOwn Where = "own"
)

// Use is one thing that a part asks of the API.
type Use struct {
	Part     Part
	Where    Where
	Group    string
	Resource string
	Verbs    []string
	Names    []string // only these objects; empty: all
	// Storage restricts the use to one of Helm's storages: secrets or configmaps.
	Storage string
	// Why is what is missing without it.
	Why string
}

var (
	watch   = []string{"get", "list", "watch"}
	routes  = []string{"get", "list", "watch", "patch"}
	shifted = []string{"get", "list", "patch"} // routes, by who does not watch them
)

// Uses is the table. A verb that is not granted costs what Why says, and
// nothing else.
var Uses = []Use{
	{Part: PartAgent, Where: InReleases, Resource: "secrets", Verbs: watch, Storage: "secrets", Why: "every operation"},
	{Part: PartAgent, Where: InReleases, Resource: "configmaps", Verbs: watch, Storage: "configmaps", Why: "every operation"},
	{Part: PartAgent, Where: InReleases, Group: "apps", Resource: "deployments", Verbs: watch, Why: "rollouts; whose pods and events are"},
	{Part: PartAgent, Where: InReleases, Group: "apps", Resource: "replicasets", Verbs: watch, Why: "whose pods and events of Deployments are"},
	{Part: PartAgent, Where: InReleases, Group: "apps", Resource: "statefulsets", Verbs: watch, Why: "rollouts; whose pods and events are"},
	{Part: PartAgent, Where: InReleases, Group: "apps", Resource: "daemonsets", Verbs: watch, Why: "rollouts; whose pods and events are"},
	{Part: PartAgent, Where: InReleases, Group: "batch", Resource: "jobs", Verbs: watch, Why: "hooks and Jobs"},
	{Part: PartAgent, Where: InReleases, Resource: "pods", Verbs: watch, Why: "spans of pods, causes, snapshots"},
	{Part: PartAgent, Where: InReleases, Resource: "pods/log", Verbs: []string{"get"}, Why: "log tails in snapshots"},
	{Part: PartAgent, Where: InReleases, Resource: "persistentvolumeclaims", Verbs: watch, Why: "pending volumes in causes and snapshots"},
	{Part: PartAgent, Where: InReleases, Resource: "resourcequotas", Verbs: []string{"list"}, Why: "quotas in snapshots"},
	{Part: PartAgent, Where: InReleases, Resource: "events", Verbs: watch, Why: "Kubernetes events"},
	{Part: PartAgent, Where: InReleases, Group: "events.k8s.io", Resource: "events", Verbs: watch, Why: "Kubernetes events, where the core group is not allowed"},
	{Part: PartAgent, Where: InReleases, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"get", "list", "watch", "patch"}, Why: "one trace and one count together with fairlead helm"},
	{Part: PartAgent, Where: InCluster, Resource: "nodes", Verbs: []string{"get", "list"}, Why: "nodes in snapshots"},
	{Part: PartAgent, Where: InCluster, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{"kube-system"}, Why: "k8s.cluster.uid"},
	{Part: PartAgent, Where: InOwn, Resource: "configmaps", Verbs: []string{"create"}, Why: "the checkpoint"},
	{Part: PartAgent, Where: InOwn, Resource: "configmaps", Verbs: []string{"get", "update"}, Names: []string{CheckpointName}, Why: "the checkpoint"},
	{Part: PartAgent, Where: InOwn, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"create"}, Why: "leader election"},
	{Part: PartAgent, Where: InOwn, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"get", "update"}, Names: []string{LeaderName}, Why: "leader election"},

	{Part: PartController, Where: InReleases, Group: "fairlead.dev", Resource: "canaryreleases", Verbs: []string{"get", "list", "watch", "patch"}, Why: "every rollout; the finalizer"},
	{Part: PartController, Where: InReleases, Group: "fairlead.dev", Resource: "canaryreleases/status", Verbs: []string{"update"}, Why: "every rollout's state"},
	{Part: PartController, Where: InReleases, Group: "fairlead.dev", Resource: "canaryreleases/finalizers", Verbs: []string{"update"}, Why: "owning the ConfigMap of frozen parameters"},
	{Part: PartController, Where: InReleases, Group: "apps", Resource: "deployments", Verbs: []string{"get", "list", "watch", "patch", "update"}, Why: "sizing the canary, promoting stable"},
	{Part: PartController, Where: InReleases, Group: "apps", Resource: "statefulsets", Verbs: []string{"get", "list", "watch", "patch", "update"}, Why: "sizing the canary, promoting stable"},
	{Part: PartController, Where: InReleases, Resource: "pods", Verbs: []string{"list"}, Why: "canaries that crash, rolled back at once"},
	{Part: PartController, Where: InReleases, Resource: "services", Verbs: watch, Why: "tracks that are not apart, refused"},
	{Part: PartController, Where: InReleases, Resource: "configmaps", Verbs: []string{"get", "create", "update"}, Why: "the frozen parameters of the analysis"},
	{Part: PartController, Where: InReleases, Resource: "secrets", Verbs: []string{"get"}, Why: "credentials of backends and keys of webhooks that a CanaryRelease names"},
	{Part: PartController, Where: InReleases, Group: "events.k8s.io", Resource: "events", Verbs: []string{"create", "patch"}, Why: "events of rollouts"},
	{Part: PartController, Where: InReleases, Group: "gateway.networking.k8s.io", Resource: "httproutes", Verbs: routes, Why: "weights of HTTPRoutes"},
	{Part: PartController, Where: InReleases, Group: "gateway.networking.k8s.io", Resource: "grpcroutes", Verbs: routes, Why: "weights of GRPCRoutes"},
	{Part: PartController, Where: InReleases, Group: "networking.istio.io", Resource: "virtualservices", Verbs: routes, Why: "weights of VirtualServices"},
	{Part: PartController, Where: InReleases, Group: "networking.k8s.io", Resource: "ingresses", Verbs: routes, Why: "weights of canary Ingresses"},
	{Part: PartController, Where: InReleases, Group: "traefik.io", Resource: "traefikservices", Verbs: routes, Why: "weights of TraefikServices"},
	{Part: PartController, Where: InOwn, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"create"}, Why: "leader election"},
	{Part: PartController, Where: InOwn, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"get", "update"}, Names: []string{ControllerLeaderName}, Why: "leader election"},
	{Part: PartController, Where: InOwn, Group: "events.k8s.io", Resource: "events", Verbs: []string{"create", "patch"}, Why: "events of the controller itself"},
	{Part: PartController, Where: InOwn, Resource: "events", Verbs: []string{"create", "patch"}, Why: "events of the leader election, which writes them to the core group"},

	{Part: PartWrapper, Where: InReleases, Resource: "secrets", Verbs: watch, Storage: "secrets", Why: "revision, operation id, automatic rollback"},
	{Part: PartWrapper, Where: InReleases, Resource: "configmaps", Verbs: watch, Storage: "configmaps", Why: "revision, operation id, automatic rollback"},
	{Part: PartWrapper, Where: InReleases, Group: "apps", Resource: "deployments", Verbs: watch, Why: "rollouts in the trace, progress, causes"},
	{Part: PartWrapper, Where: InReleases, Group: "apps", Resource: "replicasets", Verbs: watch, Why: "pods of Deployments"},
	{Part: PartWrapper, Where: InReleases, Group: "apps", Resource: "statefulsets", Verbs: watch, Why: "rollouts in the trace, progress, causes"},
	{Part: PartWrapper, Where: InReleases, Group: "apps", Resource: "daemonsets", Verbs: watch, Why: "rollouts in the trace, progress, causes"},
	{Part: PartWrapper, Where: InReleases, Group: "batch", Resource: "jobs", Verbs: watch, Why: "hooks and Jobs"},
	{Part: PartWrapper, Where: InReleases, Resource: "pods", Verbs: watch, Why: "spans of pods, causes, snapshots"},
	{Part: PartWrapper, Where: InReleases, Resource: "pods/log", Verbs: []string{"get"}, Why: "log tails of what failed"},
	{Part: PartWrapper, Where: InReleases, Resource: "persistentvolumeclaims", Verbs: watch, Why: "pending volumes"},
	{Part: PartWrapper, Where: InReleases, Resource: "resourcequotas", Verbs: []string{"list"}, Why: "quotas in snapshots"},
	{Part: PartWrapper, Where: InReleases, Resource: "events", Verbs: watch, Why: "pulls, probes, the scheduler's words"},
	{Part: PartWrapper, Where: InReleases, Group: "events.k8s.io", Resource: "events", Verbs: watch, Why: "the same, where the core group is not allowed"},
	{Part: PartWrapper, Where: InReleases, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"get", "create", "update", "delete"}, Why: "one trace and one count together with the agent"},
	{Part: PartWrapper, Where: InCluster, Resource: "nodes", Verbs: []string{"get", "list"}, Why: "nodes in snapshots"},
	{Part: PartWrapper, Where: InCluster, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{"kube-system"}, Why: "k8s.cluster.uid"},

	{Part: PartRollout, Where: InReleases, Resource: "configmaps", Verbs: []string{"get", "list", "create", "update"}, Why: "every rollout: its state and the frozen parameters of the analysis"},
	{Part: PartRollout, Where: InReleases, Group: "coordination.k8s.io", Resource: "leases", Verbs: []string{"get", "create", "update"}, Why: "one job at a time"},
	{Part: PartRollout, Where: InReleases, Group: "fairlead.dev", Resource: "canaryreleases", Verbs: []string{"get", "list", "patch"}, Why: "following a controller; that there is none"},
	{Part: PartRollout, Where: InReleases, Group: "apps", Resource: "deployments", Verbs: []string{"get", "patch"}, Why: "sizing the canary"},
	{Part: PartRollout, Where: InReleases, Group: "apps", Resource: "statefulsets", Verbs: []string{"get", "patch"}, Why: "sizing the canary"},
	{Part: PartRollout, Where: InReleases, Resource: "pods", Verbs: []string{"list"}, Why: "canaries that crash, rolled back at once"},
	{Part: PartRollout, Where: InReleases, Resource: "services", Verbs: []string{"get"}, Why: "tracks that are not apart, refused"},
	{Part: PartRollout, Where: InReleases, Group: "events.k8s.io", Resource: "events", Verbs: []string{"create", "patch"}, Why: "events of rollouts"},
	{Part: PartRollout, Where: InReleases, Group: "gateway.networking.k8s.io", Resource: "httproutes", Verbs: shifted, Why: "weights of HTTPRoutes"},
	{Part: PartRollout, Where: InReleases, Group: "gateway.networking.k8s.io", Resource: "grpcroutes", Verbs: shifted, Why: "weights of GRPCRoutes"},
	{Part: PartRollout, Where: InReleases, Group: "networking.istio.io", Resource: "virtualservices", Verbs: shifted, Why: "weights of VirtualServices"},
	{Part: PartRollout, Where: InReleases, Group: "networking.k8s.io", Resource: "ingresses", Verbs: shifted, Why: "weights of canary Ingresses"},
	{Part: PartRollout, Where: InReleases, Group: "traefik.io", Resource: "traefikservices", Verbs: shifted, Why: "weights of TraefikServices"},
}

// Names of the parts' own objects.
const (
	ControllerLeaderName = "fairlead-controller"       // Lease
	CheckpointName       = "fairlead-agent-checkpoint" // ConfigMap
	LeaderName           = "fairlead-agent"            // Lease
)

// Rules returns the rules of one part at one place for one of Helm's storages,
// in a stable order: resources of the same group, verbs and names in one rule.
func Rules(part Part, where Where, storage string) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, u := range Uses {
		if u.Part != part || u.Where != where || u.Storage != "" && u.Storage != storage {
			continue
		}
		i := slices.IndexFunc(out, func(r rbacv1.PolicyRule) bool {
			return r.APIGroups[0] == u.Group && slices.Equal(r.Verbs, u.Verbs) && slices.Equal(r.ResourceNames, u.Names)
		})
		if i < 0 {
			out = append(out, rbacv1.PolicyRule{APIGroups: []string{u.Group}, Resources: []string{u.Resource}, Verbs: u.Verbs, ResourceNames: u.Names})
			continue
		}
		out[i].Resources = append(out[i].Resources, u.Resource)
	}
	slices.SortStableFunc(out, func(a, b rbacv1.PolicyRule) int {
		return cmp.Or(strings.Compare(a.APIGroups[0], b.APIGroups[0]), strings.Compare(a.Resources[0], b.Resources[0]))
	})
	return out
}
