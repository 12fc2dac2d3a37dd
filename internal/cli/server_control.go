package cli

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cluster is where the pages act; nil without one. A kubeconfig that is merely in
// the environment is none: acting is asked for by a flag.
func (o *serverOptions) cluster() (client.Client, error) {
	if o.kubeconfig == "" && o.context == "" && !o.inside.controller {
		return nil, nil
	}
	c, err := (&rolloutFlags{kubeconfig: o.kubeconfig, context: o.context}).open()
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig, --kube-context: %w", err)
	}
	return c.store, nil
}
