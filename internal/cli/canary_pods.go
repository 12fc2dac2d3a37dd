package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// podAge reads the canary's age from the Kubernetes API.
type podAge struct {
	kubeconfig, context string
	namespace, selector string
}

func (p *podAge) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.namespace, "namespace", "n", "", "namespace of the canary's pods, to read its age (default: the kubeconfig's)")
	f.StringVarP(&p.selector, "selector", "l", "", "labels of the canary's pods, to read its age: app=shop,track=canary")
	f.StringVar(&p.kubeconfig, "kubeconfig", "", "kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the pod's service account)")
	f.StringVar(&p.context, "kube-context", "", "kubeconfig context")
}

func (p *podAge) check() error {
	if p.namespace != "" && p.selector == "" {
		return errors.New("--selector is missing: the labels of the canary's pods, app=shop,track=canary for example")
	}
	return nil
}

func (p *podAge) asked() bool { return p.selector != "" }

// oldest is when the oldest pod of the canary that is not going was created,
// zero without pods.
func (p *podAge) oldest(ctx context.Context) (time.Time, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = p.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: p.context})
	if p.namespace == "" {
		namespace, _, err := loader.Namespace()
		if err != nil {
			return time.Time{}, fmt.Errorf("read kubeconfig: %w", err)
		}
		p.namespace = namespace
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return time.Time{}, fmt.Errorf("read kubeconfig: %w\nhint: --age or --start say how old the canary is", err)
	}
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return time.Time{}, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	pods, err := client.CoreV1().Pods(p.namespace).List(ctx, metav1.ListOptions{LabelSelector: p.selector})
	if err != nil {
		return time.Time{}, fmt.Errorf("list pods %s in namespace %s: %w\nhint: --age or --start say how old the canary is", p.selector, p.namespace, err)
	}
	var oldest time.Time
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		if t := pod.CreationTimestamp.Time; oldest.IsZero() || t.Before(oldest) {
			oldest = t
		}
	}
	return oldest, nil
}
