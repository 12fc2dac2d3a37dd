package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxCheckpoint bounds the data of a checkpoint: the API server takes a
// ConfigMap of 1 MiB with everything.
const MaxCheckpoint = 900 << 10

const checkpointKey = "checkpoint"

// ReadCheckpoint returns the data that [WriteCheckpoint] wrote, nil when there
// is none.
func ReadCheckpoint(ctx context.Context, c *Client, namespace, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	m, err := c.typed.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ConfigMap %s/%s: %w", namespace, name, err)
	}
	return m.BinaryData[checkpointKey], nil
}

// WriteCheckpoint replaces the data of the ConfigMap, which it makes when there
// is none.
func WriteCheckpoint(ctx context.Context, c *Client, namespace, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	maps := c.typed.CoreV1().ConfigMaps(namespace)
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/managed-by": "fairlead"}},
		BinaryData: map[string][]byte{checkpointKey: data},
	}
	_, err := maps.Update(ctx, m, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, m, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write the ConfigMap %s/%s: %w", namespace, name, err)
	}
	return nil
}

// Why says in few words why a request failed: "forbidden", "unreachable: ...".
func Why(err error) string { return reason(err) }
