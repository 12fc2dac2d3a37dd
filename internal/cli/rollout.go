package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/helmrollout"
	"fairlead.dev/fairlead/internal/kube"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/steer"
)

func newRolloutCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Drive and follow a progressive rollout",
		Long: `Drive and follow the progressive rollout of a canary.

A rollout is a CanaryRelease that ` + "`fairlead controller`" + ` drives, or one that
` + "`fairlead rollout run`" + ` drives from a pipeline. All commands know both.

Exit codes of run, watch and wait: 0 promoted, 2 rolled back, 3 held until a
person acts, 4 --timeout ran out, 1 could not, 130 interrupted.`,
		Example: `  fairlead rollout run -f release.yaml --set image.tag=2.0.0
  fairlead rollout get -n shop
  fairlead rollout watch checkout -n shop
  fairlead rollout approve checkout -n shop`,
	}
	cmd.AddCommand(
		newRolloutRunCommand(s),
		newRolloutGetCommand(s),
		newRolloutWatchCommand(s),
		newRolloutWaitCommand(s),
	)
	for verb := range steer.Wishes {
		cmd.AddCommand(newRolloutAskCommand(s, verb))
	}
	return cmd
}

// rolloutFlags say which cluster and namespace.
type rolloutFlags struct {
	kubeconfig string
	context    string
	namespace  string
}

func (f *rolloutFlags) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.namespace, "namespace", "n", os.Getenv("HELM_NAMESPACE"), "namespace (default HELM_NAMESPACE, then the kubeconfig's)")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "path of the kubeconfig (default KUBECONFIG, then ~/.kube/config, or the pod's service account)")
	fs.StringVar(&f.context, "kube-context", os.Getenv("HELM_KUBECONTEXT"), "context of the kubeconfig; HELM_KUBECONTEXT")
}

// rolloutCluster is a cluster as the rollout commands see it.
type rolloutCluster struct {
	store     helmrollout.Store
	config    *rest.Config
	namespace string
	name      string // k8s.cluster.name
}

func (f *rolloutFlags) open() (*rolloutCluster, error) {
	kube.SilenceClientLogs()
	k, err := kube.NewClient(kube.ClientOptions{Kubeconfig: f.kubeconfig, Context: f.context})
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.New(k.Config(), client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	namespace := f.namespace
	if namespace == "" {
		namespace = k.ContextNamespace()
	}
	return &rolloutCluster{store: helmrollout.Store{Client: c}, config: k.Config(), namespace: namespace, name: k.ClusterName()}, nil
}

// get reads a CanaryRelease; its error says where to look.
func (c *rolloutCluster) get(ctx context.Context, name string) (*v1alpha1.CanaryRelease, error) {
	var cr v1alpha1.CanaryRelease
	err := c.store.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, &cr)
	return &cr, c.explain(name, err)
}

// explain says where to look when there is no rollout of that name.
func (c *rolloutCluster) explain(name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no rollout %q in namespace %s\nhint: fairlead rollout get -A lists all", name, c.namespace)
	}
	return err
}

// held reports whether the rollout goes no further until a person acts, though
// it has not ended.
func held(cr *v1alpha1.CanaryRelease) bool {
	switch rollout.Reason(cr.Status.Reason) {
	case rollout.ReasonHold, rollout.ReasonRouteContested:
		return true
	}
	return rollout.Phase(cr.Status.Phase) == rollout.PhasePromotionFailed
}

// outcome is the exit code of a rollout that has ended or is held; done is
// false while it is under way.
func outcome(cr *v1alpha1.CanaryRelease) (code int, done bool) {
	switch phase := rollout.Phase(cr.Status.Phase); {
	case phase == rollout.PhaseSucceeded:
		return ExitOK, true
	case phase == rollout.PhaseRolledBack:
		return ExitRollback, true
	case held(cr):
		return ExitContinue, true
	}
	return 0, false
}

// sleep waits, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
