package artifact

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The versions that are not in go.mod, and those that go.mod must agree with.
const (
	KubernetesVersion = "v1.36.3"
	CoreDNSVersion    = "v1.14.7"
	TraefikVersion    = "v3.7.13"
	Helm3Version      = "v3.22.0"
	Helm4Version      = "v4.3.1"
)

// components are the names that hyperkube answers to.
var components = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl",
}

// binary is one "go build" or "go install".
type binary struct {
	name    string
	what    string   // shown while it is built
	pkg     string   // with @version: installed from the proxy, else built in this module
	ldflags string   // beside -s -w
	inputs  []string // what of the source decides its content
	links   []string // further names of the binary
}

// moduleInputs decide what the dependencies are.
var moduleInputs = []string{"go.mod", "go.sum", "stubs"}

func hyperkube() binary {
	var versions []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		versions = append(versions,
			"-X "+pkg+".gitVersion="+KubernetesVersion,
			"-X "+pkg+".gitMajor=1",
			"-X "+pkg+".gitMinor="+strings.Split(KubernetesVersion, ".")[1],
			"-X "+pkg+".gitTreeState=clean")
	}
	return binary{
		name: "hyperkube", what: "etcd and Kubernetes " + KubernetesVersion + ", about 9 minutes of CPU time when nothing is cached",
		pkg: "./cmd/hyperkube", ldflags: strings.Join(versions, " "),
		inputs: append([]string{"cmd/hyperkube"}, moduleInputs...), links: components,
	}
}

func coredns() binary {
	return binary{
		name: "coredns", what: "CoreDNS " + CoreDNSVersion,
		pkg: "./cmd/coredns", inputs: append([]string{"cmd/coredns"}, moduleInputs...),
	}
}

func traefik() binary {
	return binary{
		name: "traefik", what: "Traefik " + TraefikVersion + ", about 4 minutes of CPU time when nothing is cached",
		pkg: "github.com/traefik/traefik/v3/cmd/traefik", inputs: moduleInputs,
	}
}

// own is a program below images/: standard library only.
func own(name string) binary {
	return binary{name: name, what: "image content", pkg: "./images/" + name, inputs: []string{"images/" + name}}
}

func helm(major, version string) binary {
	module := "helm.sh/helm/v" + major
	return binary{
		name: "helm" + major, what: "Helm " + version + ", minutes of CPU time when nothing is cached",
		pkg: module + "/cmd/helm@" + version, ldflags: "-X " + module + "/internal/version.version=" + version,
	}
}

// buildBinary returns the path of the binary, building it if need be.
func (c Cache) buildBinary(ctx context.Context, b binary) (string, error) {
	key, err := c.key([]string{b.pkg, b.ldflags}, b.inputs...)
	if err != nil {
		return "", err
	}
	dir, err := c.ensure(ctx, b.name, key, b.what, func(dir string) error {
		if err := c.compile(ctx, b, dir); err != nil {
			return err
		}
		for _, l := range b.links {
			if err := os.Symlink(b.name, filepath.Join(dir, l)); err != nil {
				return err
			}
		}
		return nil
	})
	return filepath.Join(dir, b.name), err
}

func (c Cache) compile(ctx context.Context, b binary, dir string) error {
	ldflags := strings.TrimSpace("-s -w " + b.ldflags)
	env := []string{"CGO_ENABLED=0", "GOWORK=off"}
	out := filepath.Join(dir, b.name)
	if !strings.Contains(b.pkg, "@") {
		return c.run(ctx, env, "go", "build", "-tags=component", "-mod=readonly", "-buildvcs=false", "-ldflags", ldflags, "-o", out, b.pkg)
	}
	err := c.run(ctx, append(env, "GOBIN="+dir), "go", "install", "-buildvcs=false", "-ldflags", ldflags, b.pkg)
	if err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "helm"), out)
}

// run runs a command in the module's directory; the error holds the end of
// what it printed.
func (c Cache) run(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.Source
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, tail(out, 20))
	}
	return nil
}

// tail returns the last n lines.
func tail(b []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
