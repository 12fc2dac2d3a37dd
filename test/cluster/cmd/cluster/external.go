package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// runHere replaces this process by the command.
func runHere(argv, env []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, env))
}

// runExternal runs a command against the user's cluster: KUBECONFIG is as it
// is, the variables of Helm and kubectl are those of a cluster of our own.
func runExternal(ctx context.Context, o *options, argv []string) error {
	fmt.Fprintf(o.progress(), "KUBECONFIG is set: using that cluster, starting none\n")
	cache, err := o.cache()
	if err != nil {
		return err
	}
	helm3, err := cache.Helm(ctx, "3")
	if err != nil {
		return err
	}
	helm4, err := cache.Helm(ctx, "4")
	if err != nil {
		return err
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return errors.New("with KUBECONFIG set the tests use your kubectl, and there is none in the PATH")
	}
	path := filepath.Dir(helm3) + ":" + filepath.Dir(helm4) + ":" + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	return runHere(argv, append(os.Environ(),
		"FAIRLEAD_TEST_HELM3="+helm3,
		"FAIRLEAD_TEST_HELM4="+helm4,
		"FAIRLEAD_TEST_KUBECTL="+kubectl,
	))
}
