// Command cluster is the test bed: a real single-node Kubernetes, with real
// pods, in namespaces of its own on this machine. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/test/cluster/internal/host"
)

// Exit codes beside those of the command that "run" and "exec" run.
const (
	exitFailure = 1
	exitUsage   = 2
	// exitSkipped is automake's code for a skipped test: this machine cannot
	// run a cluster and KUBECONFIG names none.
	exitSkipped = 77
)

// exitError carries the exit code of a command that ran; there is nothing to say.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is about the command line.
type usageError struct{ error }

func main() {
	// Until "exec" passes signals on, they end what is being done; what was
	// started is removed on the way out.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := exitCode(newRoot().ExecuteContext(ctx))
	stop()
	os.Exit(code)
}

func exitCode(err error) int {
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.Is(err, host.ErrUnsupported):
		fmt.Fprintf(os.Stderr, "SKIPPED: %v.\nSet KUBECONFIG to run the cluster tests against a cluster that you have. Exit status %d means skipped.\n", err, exitSkipped)
		return exitSkipped
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "cluster: %v\nTry: cluster --help\n", err)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cluster",
		Short: "A real single-node Kubernetes for tests",
		Long: `cluster starts a real single-node Kubernetes (etcd, API server, controllers,
scheduler, kubelet, kube-proxy, containerd, runc, CoreDNS, Traefik as a Gateway
API data plane) in namespaces of its own, and leaves nothing behind.

With KUBECONFIG set, "run" and "exec" use that cluster and start none. On a
machine that can run none they say so and exit with status 77.`,
		Example: `  cluster up                          # stays until "cluster down"
  cluster exec -- kubectl get pods -A
  cluster exec -- helm4 install web test/charts/app --wait
  cluster down

  cluster run -- ./e2e.test -test.v   # a cluster of its own for one command`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	o := &options{stdout: os.Stdout, stderr: os.Stderr}
	root.PersistentFlags().StringVar(&o.name, "name", defaultName(), "the cluster's name; parallel clusters have different names")
	root.PersistentFlags().StringVar(&o.source, "source", "", "directory of the test bed's module (default: found above the working directory, or where this program was built)")
	root.PersistentFlags().BoolVarP(&o.quiet, "quiet", "q", false, "no progress on standard error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newBuild(o), newUp(o), newDown(o), newRun(o), newExec(o), newStatus(o), newKubeconfig(o),
		newHelm(o), newComponent(o), newLogs(o), newImage(o),
	)
	root.AddCommand(internalCommands()...)
	return root
}
