package helm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// realHelm returns the path of a real Helm of the major version: the one that
// FAIRLEAD_TEST_HELM3 or 4 names, or the one that the test cluster built.
func realHelm(t testing.TB, major int) string {
	t.Helper()
	name := "FAIRLEAD_TEST_HELM" + strconv.Itoa(major)
	if path := os.Getenv(name); path != "" {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		helm := "helm" + strconv.Itoa(major)
		if found, _ := filepath.Glob(filepath.Join(cache, "fairlead", "cluster", helm+"-*", helm)); len(found) > 0 {
			return found[0]
		}
	}
	t.Skipf("no Helm %d here: set %s to its path", major, name)
	return ""
}

// noClusterEnv is an environment in which Helm finds no cluster, no plugins and
// no configuration of the user's. With memory set Helm keeps releases in the
// file at that path and talks to no cluster at all.
func noClusterEnv(t testing.TB, memory string) []string {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
	if memory != "" {
		env = append(env, "HELM_DRIVER=memory", "HELM_MEMORY_DRIVER_DATA="+memory)
	}
	return env
}

// forBoth runs a test with Helm 3 and with Helm 4.
func forBoth(t *testing.T, test func(t *testing.T, major int, path string)) {
	t.Helper()
	for _, major := range []int{3, 4} {
		t.Run("helm"+strconv.Itoa(major), func(t *testing.T) { test(t, major, realHelm(t, major)) })
	}
}

func helmOutput(t *testing.T, path string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}
