package helm

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	deploy := func(inv Invocation) Invocation {
		if inv.Timeout == 0 {
			inv.Timeout = 5 * time.Minute
		}
		if inv.Releases == nil && inv.Release != "" {
			inv.Releases = []string{inv.Release}
		}
		return inv
	}
	cases := []struct {
		reason string
		line   string
		v3, v4 Invocation // without Major, Args, Positional
		not3   bool       // not recorded under Helm 3
		not4   bool
	}{
		{
			reason: "the plain form",
			line:   "upgrade web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "a pipeline's usual line, flags before and behind the verb",
			line:   "--kube-context prod -n shop upgrade --install web repo/chart --version 1.2.3 -f v.yaml --set a=b --wait --timeout 10m -o json",
			v3: Invocation{Verb: "upgrade", Release: "web", Chart: "repo/chart", Install: true, Wait: "true",
				Timeout: 10 * time.Minute, Output: "json", ChartVersion: "1.2.3"},
			v4: Invocation{Verb: "upgrade", Release: "web", Chart: "repo/chart", Install: true, Wait: "watcher",
				Timeout: 10 * time.Minute, Output: "json", ChartVersion: "1.2.3"},
		},
		{
			reason: "an optional value never eats the next word",
			line:   "upgrade --wait web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "true"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "watcher"},
		},
		{
			reason: "combined shorthands, the last with its value glued on",
			line:   "upgrade -inshop web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Install: true, Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Install: true, Wait: "hookOnly"},
		},
		{
			reason: "a shorthand with an equals sign",
			line:   "install web ./chart -n=shop -o=yaml",
			v3:     Invocation{Verb: "install", Release: "web", Chart: "./chart", Output: "yaml", Wait: "false"},
			v4:     Invocation{Verb: "install", Release: "web", Chart: "./chart", Output: "yaml", Wait: "hookOnly"},
		},
		{
			reason: "behind -- there are no flags",
			line:   "upgrade --install -- web --help",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "--help", Install: true, Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "--help", Install: true, Wait: "hookOnly"},
		},
		{
			reason: "a flag of the verb may stand before it",
			line:   "--set a=b upgrade web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "atomic waits, and Helm 4 has a new name for it",
			line:   "upgrade web ./chart --atomic",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Atomic: true, Wait: "true"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Atomic: true, Wait: "watcher"},
		},
		{
			reason: "Helm 4's name, which Helm 3 refuses: still an operation, and its flag reads as a switch",
			line:   "upgrade web ./chart --rollback-on-failure",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Atomic: true, Wait: "true"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Atomic: true, Wait: "watcher"},
		},
		{
			reason: "wait modes of Helm 4",
			line:   "upgrade web ./chart --wait=legacy",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "legacy"},
		},
		{
			reason: "the last of two wins",
			line:   "upgrade web ./chart --wait --wait=false",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "a dry run is no operation",
			line:   "upgrade web ./chart --dry-run",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", DryRun: true, Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", DryRun: true, Wait: "hookOnly"},
			not3:   true, not4: true,
		},
		{
			reason: "none is a real run in both",
			line:   "upgrade web ./chart --dry-run=none",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "so is false",
			line:   "rollback web 3 --dry-run=false",
			v3:     Invocation{Verb: "rollback", Release: "web", Revision: 3, Wait: "false"},
			v4:     Invocation{Verb: "rollback", Release: "web", Revision: 3, Wait: "hookOnly"},
		},
		{
			reason: "--dry-run=server never eats a word, a bare word behind --dry-run is one of its own",
			line:   "install --dry-run=server web ./chart",
			v3:     Invocation{Verb: "install", Release: "web", Chart: "./chart", DryRun: true, Wait: "false"},
			v4:     Invocation{Verb: "install", Release: "web", Chart: "./chart", DryRun: true, Wait: "hookOnly"},
			not3:   true, not4: true,
		},
		{
			reason: "help is help",
			line:   "upgrade web ./chart -h",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Help: true, Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Help: true, Wait: "hookOnly"},
			not3:   true, not4: true,
		},
		{
			reason: "a value that looks like help is a value",
			line:   "upgrade web ./chart --description -h",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "aliases of uninstall, several releases",
			line:   "un -n shop web api --keep-history --wait",
			v3:     Invocation{Verb: "uninstall", Release: "web", Releases: []string{"web", "api"}, KeepHistory: true, Wait: "true"},
			v4:     Invocation{Verb: "uninstall", Release: "web", Releases: []string{"web", "api"}, KeepHistory: true, Wait: "watcher"},
		},
		{
			reason: "a generated name",
			line:   "install -g ./chart",
			v3:     Invocation{Verb: "install", Chart: "./chart", GenerateName: true, Wait: "false"},
			v4:     Invocation{Verb: "install", Chart: "./chart", GenerateName: true, Wait: "hookOnly"},
		},
		{
			reason: "a name template",
			line:   "install ./chart --name-template={{.x}}",
			v3:     Invocation{Verb: "install", Chart: "./chart", NameTemplate: "{{.x}}", Wait: "false"},
			v4:     Invocation{Verb: "install", Chart: "./chart", NameTemplate: "{{.x}}", Wait: "hookOnly"},
		},
		{
			reason: "no name at all: Helm will refuse it and there is no release to record it for",
			line:   "install ./chart",
			v3:     Invocation{Verb: "install", Chart: "./chart", Wait: "false", Problem: "the command line names no release"},
			v4:     Invocation{Verb: "install", Chart: "./chart", Wait: "hookOnly", Problem: "the command line names no release"},
			not3:   true, not4: true,
		},
		{
			reason: "tests are recorded",
			line:   "test web --logs --filter name=a",
			v3:     Invocation{Verb: "test", Release: "web"},
			v4:     Invocation{Verb: "test", Release: "web"},
		},
		{
			reason: "an unknown flag that fits as a switch only",
			line:   "upgrade --brand-new web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "an unknown flag that fits with a value only",
			line:   "upgrade --brand-new value web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "an unknown flag that fits both ways and names two different releases is passed through",
			line:   "rollback --brand-new 3 web",
			v3:     Invocation{Verb: "rollback", Wait: "false", Problem: "flag --brand-new is not known, so it is not clear which word is the release"},
			v4:     Invocation{Verb: "rollback", Wait: "hookOnly", Problem: "flag --brand-new is not known, so it is not clear which word is the release"},
			not3:   true, not4: true,
		},
		{
			reason: "Helm 4's --color takes a value",
			line:   "--color always upgrade web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
		{
			reason: "--server-side is a switch of Helm 4's install, and Helm 3 does not know it",
			line:   "install --server-side web ./chart",
			v3:     Invocation{Verb: "install", Wait: "false", Problem: "flag --server-side is not known, so it is not clear which word is the release"},
			v4:     Invocation{Verb: "install", Release: "web", Chart: "./chart", Wait: "hookOnly"},
			not3:   true,
		},
		{
			reason: "and takes a value in its upgrade",
			line:   "upgrade --server-side true web ./chart",
			v3:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "false"},
			v4:     Invocation{Verb: "upgrade", Release: "web", Chart: "./chart", Wait: "hookOnly"},
		},
	}
	ignore := cmp.Options{cmpopts.IgnoreUnexported(Invocation{}), cmpopts.IgnoreFields(Invocation{}, "Major", "Args", "Positional")}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			args := strings.Fields(c.line)
			for _, v := range []struct {
				major int
				want  Invocation
				not   bool
			}{{3, c.v3, c.not3}, {4, c.v4, c.not4}} {
				got := Parse(v.major, args)
				if diff := cmp.Diff(deploy(v.want), got, ignore); diff != "" {
					t.Errorf("Helm %d: -want +got:\n%s", v.major, diff)
				}
				if got.Recorded() == v.not {
					t.Errorf("Helm %d: recorded: %v", v.major, got.Recorded())
				}
			}
		})
	}
}

func TestParsePassesThrough(t *testing.T) {
	for _, line := range []string{
		"", "version", "version --short", "env", "list -A", "template web ./chart", "status web", "history web", "get values web",
		"--help", "-h", "help upgrade", "__complete upgrade ", "__completeNoDesc upgrade", "completion bash", "plugin list", "diff upgrade web ./chart",
		"secrets upgrade web ./chart", "repo add x https://x", "-n", "--namespace", "-n upgrade", "-- upgrade web ./chart", "- upgrade",
		"--kubeconfig upgrade", "--wait upgrade web ./chart", "--debug", "registry login", "upgrade", "uninstall", "rollback", "upgrade -n",
		"-hn upgrade", "upgrade Not_A_Name ./chart",
	} {
		args := strings.Fields(line)
		if MayRecord(args) {
			t.Errorf("helm %s would be recorded: %+v", line, Parse(4, args))
		}
	}
}

func TestParseNeverPanics(t *testing.T) {
	words := []string{"upgrade", "install", "web", "./c", "-", "--", "-n", "--namespace", "--wait", "--wait=", "-g", "-gn", "-n=", "--x", "--x=", "-X", "", "=", "-=", "--=", "rollback", "un"}
	var line func(prefix []string, depth int)
	line = func(prefix []string, depth int) {
		for _, major := range []int{3, 4} {
			inv := Parse(major, prefix)
			inv.SafeArgs()
			inv.Target(func(string) string { return "" })
			RollbackArgs(inv, "", 1)
		}
		if depth == 0 {
			return
		}
		for _, w := range words {
			line(append(prefix[:len(prefix):len(prefix)], w), depth-1)
		}
	}
	line(nil, 3)
}

// TestParseAgreesWithHelm asks the real Helm what it does with the same command
// line written in many ways: Helm finds the one release that there is, in its
// namespace, only where it reads the line as we do.
func TestParseAgreesWithHelm(t *testing.T) {
	lines := []string{
		"uninstall web -n shop",
		"--namespace shop uninstall web",
		"-nshop del web",
		"un -n=shop -- web",
		"delete --wait -n other web --namespace=shop",
		"--timeout 3s uninstall --keep-history --no-hooks web -n shop",
		"--description uninstall uninstall -n shop web",
		"--debug -n shop uninstall --cascade orphan web",
		"rollback -n shop web 1",
		"rollback --wait web 1 -nshop",
		"--timeout=3s rollback -n shop --cleanup-on-fail web --history-max 7 1",
		"-n shop rollback --dry-run=false web 1",
		"test -n shop --filter name=nothing web",
	}
	memory := t.TempDir() + "/releases.yaml"
	writeFile(t, memory, memoryRelease("web", "shop", 2, "deployed")+memoryRelease("web", "shop", 1, "superseded"))
	forBoth(t, func(t *testing.T, major int, path string) {
		env := noClusterEnv(t, memory)
		for _, line := range lines {
			args := strings.Fields(line)
			helmOutput(t, path, env, args...)
			inv := Parse(major, args)
			target := inv.Target(func(string) string { return "" })
			if inv.Release != "web" || target.Namespace != "shop" || !inv.Recorded() {
				t.Errorf("helm %s: read as release %q in %q, recorded %v", line, inv.Release, target.Namespace, inv.Recorded())
			}
		}
		// And where there is no such release, Helm and we agree on which one it is.
		for _, line := range []string{"uninstall -n shop --keep-history api", "uninstall --cascade orphan -nshop -- api"} {
			args := strings.Fields(line)
			cmd := exec.Command(path, args...)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), Parse(major, args).Release+": release: not found") {
				t.Errorf("helm %s: %v %s", line, err, out)
			}
		}
	})
}

// memoryRelease is one release in the file of Helm's memory driver.
func memoryRelease(name, namespace string, revision int, status string) string {
	return fmt.Sprintf(`- name: %s
  namespace: %s
  version: %d
  info: {status: %s, description: d, first_deployed: "2026-01-01T00:00:00Z", last_deployed: "2026-01-01T00:00:00Z"}
  chart: {metadata: {name: sample, version: 0.1.0, apiVersion: v2}}
`, name, namespace, revision, status)
}

func TestTarget(t *testing.T) {
	env := map[string]string{
		"HELM_NAMESPACE": "env-ns", "KUBECONFIG": "/a:/b", "HELM_KUBECONTEXT": "env-ctx", "HELM_KUBEASGROUPS": "g1,g2",
		"HELM_KUBETOKEN": "env-token", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true", "HELM_DRIVER": "configmap",
	}
	getenv := func(k string) string { return env[k] }
	got := Parse(4, strings.Fields("upgrade web ./c")).Target(getenv)
	want := Target{Namespace: "env-ns", Kubeconfig: "/a:/b", KubeContext: "env-ctx", AsGroups: []string{"g1", "g2"},
		Token: "env-token", InsecureSkipTLSVerify: true, Driver: "configmap"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables: -want +got:\n%s", diff)
	}
	got = Parse(3, strings.Fields("upgrade web ./c -n flag-ns --kubeconfig /c --kube-context=ctx --kube-as-group x --kube-as-group y "+
		"--kube-token t --kube-as-user u --kube-apiserver https://a --kube-ca-file /ca --kube-tls-server-name s --kube-insecure-skip-tls-verify=false")).Target(getenv)
	want = Target{Namespace: "flag-ns", Kubeconfig: "/c", KubeContext: "ctx", AsGroups: []string{"x", "y"}, Token: "t", AsUser: "u",
		APIServer: "https://a", CAFile: "/ca", TLSServerName: "s", Driver: "configmap"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags: -want +got:\n%s", diff)
	}
}

func TestOwnCommands(t *testing.T) {
	cases := []struct {
		reason, line        string
		rollback, uninstall string
		major               int
	}{
		{
			reason: "cluster, waiting and timeout are carried over, values and chart are not", major: 4,
			line:      "--kube-context prod upgrade web ./c -n shop --set a=b --wait --timeout 90s --history-max 3 --force-conflicts --atomic=false",
			rollback:  "rollback web 2 --kube-context=prod --namespace=shop --history-max=3 --wait=watcher --timeout=1m30s",
			uninstall: "uninstall web --kube-context=prod --namespace=shop --wait=watcher --timeout=1m30s",
		},
		{
			reason: "Helm 3 knows no wait modes", major: 3,
			line:      "upgrade web ./c --wait --wait-for-jobs --no-hooks",
			rollback:  "rollback web 2 --wait-for-jobs --no-hooks --wait --timeout=5m0s",
			uninstall: "uninstall web --no-hooks --wait --timeout=5m0s",
		},
		{
			reason: "who did not wait does not wait now", major: 3,
			line:      "upgrade web ./c",
			rollback:  "rollback web 2 --timeout=5m0s",
			uninstall: "uninstall web --timeout=5m0s",
		},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			inv := Parse(c.major, strings.Fields(c.line))
			if diff := cmp.Diff(strings.Fields(c.rollback), RollbackArgs(inv, "", 2)); diff != "" {
				t.Errorf("rollback: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(strings.Fields(c.uninstall), UninstallArgs(inv, "")); diff != "" {
				t.Errorf("uninstall: -want +got:\n%s", diff)
			}
			if back := Parse(c.major, RollbackArgs(inv, "", 2)); back.Revision != 2 || back.Release != "web" || back.Wait != inv.Wait || !back.Recorded() {
				t.Errorf("our own command reads as %+v", back)
			}
		})
	}
	if args := UninstallArgs(Parse(4, []string{"install", "-g", "./c"}), "chart-123"); args[1] != "chart-123" {
		t.Errorf("a generated name must be given: %q", args)
	}
}
