//go:build e2e

// Package e2e tests the built fairlead with the real Helm 3 and 4 against a real
// cluster. `make e2e` brings one up; the tests need its variables (see
// test/cluster).
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// appChart is the test bed's chart.
const appChart = "../charts/app"

func TestMain(m *testing.M) {
	for _, name := range []string{"FAIRLEAD_TEST_HELM3", "FAIRLEAD_TEST_HELM4", "FAIRLEAD_TEST_KUBECTL", "KUBECONFIG"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "FAIL: %s is not set: run `make e2e`, or give a cluster and both helms\n", name)
			os.Exit(1)
		}
	}
	if _, err := os.Stat(fairlead()); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: %v: run `make build`, or name the binary in FAIRLEAD_TEST_BIN\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fairlead is the binary under test.
func fairlead() string {
	if path := os.Getenv("FAIRLEAD_TEST_BIN"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../bin/fairlead")
	if err != nil {
		panic(err)
	}
	return path
}
