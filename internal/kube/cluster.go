package kube

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type clusterID struct {
	mu  sync.Mutex
	uid string
}

// ClusterUID returns k8s.cluster.uid, the UID of the namespace kube-system; an
// error when it may not be read. It makes one request and remembers the answer.
func (c *Client) ClusterUID(ctx context.Context) (string, error) {
	c.clusterID.mu.Lock()
	defer c.clusterID.mu.Unlock()
	if c.clusterID.uid != "" {
		return c.clusterID.uid, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ns, err := c.metadata.Resource(resource("", "v1", "namespaces")).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the namespace %s for its UID: %w", metav1.NamespaceSystem, err)
	}
	c.clusterID.uid = string(ns.UID)
	return c.clusterID.uid, nil
}
