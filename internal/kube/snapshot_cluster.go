package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/release"
)

// Limits of what is read of the cluster around a release. A node's object
// holds the names of its images, some 10 KiB each.
const (
	maxNodes     = 5
	maxNodesList = 100
	maxQuotas    = 20
)

// nodes reads the nodes of the pods that are not ready; where pods find no node,
// all nodes are asked for what keeps them away.
func (g *gatherer) nodes(ctx context.Context) {
	var names []string
	homeless := false
	for _, p := range g.snapshot.Pods {
		switch {
		case p.Ready() || p.Phase == "Succeeded":
		case p.Node == "":
			homeless = true
		case !slices.Contains(names, p.Node):
			names = append(names, p.Node)
		}
	}
	var nodes []release.Node
	if homeless {
		list, err := g.client.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: maxNodesList})
		if err != nil {
			g.missing("nodes", err)
			return
		}
		for i := range list.Items {
			n := node(&list.Items[i])
			if slices.Contains(names, n.Name) || !n.Ready || n.Unschedulable || len(n.Taints) > 0 || len(list.Items) <= maxNodes {
				nodes = append(nodes, n)
			}
		}
	} else {
		for _, name := range names[:min(len(names), maxNodes)] {
			n, err := g.client.typed.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				g.missing("nodes", err)
				break
			}
			nodes = append(nodes, node(n))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(nodes) > 4*maxNodes {
		g.snapshot.Omitted = append(g.snapshot.Omitted, fmt.Sprintf("%d of %d nodes", len(nodes)-4*maxNodes, len(nodes)))
		nodes = nodes[:4*maxNodes]
	}
	g.snapshot.Nodes = nodes
}

func node(n *corev1.Node) release.Node {
	out := release.Node{Name: n.Name, Unschedulable: n.Spec.Unschedulable}
	for _, c := range n.Status.Conditions {
		ready := c.Type == corev1.NodeReady
		if ready {
			out.Ready = c.Status == corev1.ConditionTrue
		}
		if ready || c.Status != corev1.ConditionFalse {
			out.Conditions = append(out.Conditions, release.Condition{
				Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.UTC(),
			})
		}
	}
	for _, t := range n.Spec.Taints {
		out.Taints = append(out.Taints, fmt.Sprintf("%s=%s:%s", t.Key, t.Value, t.Effect))
	}
	return out
}

func (g *gatherer) quotas(ctx context.Context) {
	list, err := g.client.typed.CoreV1().ResourceQuotas(g.snapshot.Release.Namespace).List(ctx, metav1.ListOptions{Limit: maxQuotas})
	if err != nil {
		g.missing("resourcequotas", err)
		return
	}
	var out []release.Quota
	for _, q := range list.Items {
		out = append(out, release.Quota{Name: q.Name, Hard: quantities(q.Status.Hard), Used: quantities(q.Status.Used)})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot.Quotas = out
}

func quantities(list corev1.ResourceList) map[string]string {
	out := make(map[string]string, len(list))
	for name, q := range list {
		out[string(name)] = q.String()
	}
	return out
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
