package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/test/cluster/internal/artifact"
)

// options are those of every command.
type options struct {
	name   string
	source string
	quiet  bool
	stdout io.Writer
	stderr io.Writer
}

// nameVariable is set inside a cluster.
const nameVariable = "FAIRLEAD_TEST_CLUSTER"

func defaultName() string {
	if name := os.Getenv(nameVariable); name != "" {
		return name
	}
	return "fairlead"
}

// inside reports whether this process runs in the cluster it is asked about.
func (o *options) inside() bool { return os.Getenv(nameVariable) == o.name }

// outside returns an error when this process runs in any cluster: process
// numbers and mounts are others there.
func (o *options) outside() error {
	if name := os.Getenv(nameVariable); name != "" {
		return fmt.Errorf("this runs inside cluster %q: clusters are started, ended and entered from outside", name)
	}
	return nil
}

// external reports whether the user brings a cluster.
func (o *options) external() bool {
	return os.Getenv("KUBECONFIG") != "" && os.Getenv(nameVariable) == ""
}

// progress is where progress goes.
func (o *options) progress() io.Writer {
	if o.quiet {
		return io.Discard
	}
	return o.stderr
}

// cache returns the cache of built artifacts.
func (o *options) cache() (artifact.Cache, error) {
	source, err := o.sourceDir()
	if err != nil {
		return artifact.Cache{}, err
	}
	dir, err := artifact.DefaultDir()
	return artifact.Cache{Dir: dir, Source: source, Log: o.progress()}, err
}

// sourceDir finds this module's source, which is built from.
func (o *options) sourceDir() (string, error) {
	if o.source != "" {
		return filepath.Abs(o.source)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "test", "cluster")} {
			if isSource(candidate) {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Dir(filepath.Dir(filepath.Dir(file))); isSource(dir) {
			return dir, nil
		}
	}
	return "", errors.New("find the source of the test bed: run inside the repository or give --source DIR")
}

// isSource reports whether dir is this module's directory.
func isSource(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cmd", "hyperkube", "main.go"))
	return err == nil
}

// commandArgs wants at least one argument, the command to run.
func commandArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("no command given, want: -- COMMAND [ARGUMENT...]")}
	}
	return nil
}

// exactly wants the named arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError{fmt.Errorf("got %d arguments %q, want %v", len(args), args, names)}
		}
		return nil
	}
}
