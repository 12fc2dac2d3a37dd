package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/helm"
)

// Cluster is where the Helm half runs.
type Cluster string

// The clusters of the Helm half.
const (
	// ClusterAuto is the cluster of KUBECONFIG where that is set and answers.
	ClusterAuto Cluster = "auto"
	// ClusterKubeconfig is that cluster; it is an error when it does not answer.
	ClusterKubeconfig Cluster = "kubeconfig"
	// ClusterTestbed is a real Kubernetes that is started on this machine for it.
	ClusterTestbed Cluster = "testbed"
	// ClusterNone leaves the Helm half out.
	ClusterNone Cluster = "none"
)

// Validate names the value that cannot be.
func (c Cluster) Validate() error {
	switch c {
	case ClusterAuto, ClusterKubeconfig, ClusterTestbed, ClusterNone:
		return nil
	}
	return fmt.Errorf("--cluster %q: want auto, kubeconfig, testbed or none", string(c))
}

// Part is what of the story is told.
type Part string

// The parts.
const (
	PartAll      Part = "all"
	PartCanaries Part = "canaries"
	PartHelm     Part = "helm"
)

// Validate names the value that cannot be.
func (p Part) Validate() error {
	switch p {
	case PartAll, PartCanaries, PartHelm:
		return nil
	}
	return fmt.Errorf("--part %q: want all, canaries or helm", string(p))
}

// Validate names the setting that cannot be, alone or beside another.
func (o Options) Validate() error {
	if err := errors.Join(o.Part.Validate(), o.Cluster.Validate()); err != nil {
		return err
	}
	if o.Part == PartHelm && !o.hasReleases() {
		return errors.New("--part helm: there is no cluster for it: set KUBECONFIG, or give --cluster to start one (make demo-cluster)")
	}
	return nil
}

// hasReleases is whether the Helm half is told.
func (o Options) hasReleases() bool {
	switch {
	case o.Part == PartCanaries || o.Cluster == ClusterNone || o.Cluster == "":
		return false
	case o.Cluster == ClusterAuto:
		return os.Getenv("KUBECONFIG") != ""
	}
	return true
}

// releases tells the Helm half, and that the server knows of all of it.
func (s *stage) releases(ctx context.Context) error {
	title := "3. Helm: a release on real pods, and an upgrade that fails"
	if s.options.Part == PartHelm {
		title = title[len("3. "):]
	}
	s.story.chapter(title)
	var namespace string
	var err error
	if s.options.Cluster == ClusterTestbed {
		namespace, err = s.onTestbed(ctx)
	} else {
		namespace, err = Releases(ctx, ReleasesOptions{
			Self: s.options.Self, Image: s.options.Image, Began: s.story.began, Out: s.options.Out, Color: s.options.Color,
		})
	}
	if errors.Is(err, ErrNoCluster) && s.options.Cluster == ClusterAuto && s.options.Part != PartHelm && ctx.Err() == nil {
		s.story.line("left out", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	return s.recorded(ctx, namespace)
}

// recorded checks that the server has the story, and says where.
func (s *stage) recorded(ctx context.Context, namespace string) error {
	query := url.Values{"limit": {"20"}}
	if namespace != "" {
		query.Set("namespace", namespace)
	}
	have := map[string]int{}
	var failed api.Operation
	deadline := time.Now().Add(10 * time.Second)
	for {
		list, err := api.Client{Server: s.base}.Operations(ctx, query)
		if err != nil {
			return fmt.Errorf("ask the server for the releases: %w", err)
		}
		clear(have)
		for _, o := range list.Operations {
			have[o.Kind+" "+o.State]++
			if o.State == "failed" {
				failed = o
			}
		}
		if have["install succeeded"] == 1 && have["upgrade succeeded"] == 1 && have["upgrade failed"] == 1 && have["rollback succeeded"] == 1 && failed.Cause != "" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: the server should have an install, two upgrades, one of them failed, and a rollback, and has %v", ErrUnexpected, have)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	s.story.line("recorded", "the operations, the pods as spans, the cause: %s", s.base+"/releases/"+failed.Namespace+"/"+failed.Release)
	s.story.more("the upgrade  %s", s.base+"/deployments/"+failed.ID)
	return nil
}

// testbedProgram is the program of the test bed (docs/testing.md): the one that
// is named, or the one beside this program, as `make cluster` has it.
func testbedProgram(self string) (string, error) {
	path := os.Getenv("FAIRLEAD_TEST_CLUSTERCTL")
	if path == "" {
		path = filepath.Join(filepath.Dir(self), "cluster")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("--cluster: the test bed is not built: %w\nhint: `make demo-cluster` in a checkout of fairlead builds and uses it; with KUBECONFIG set your own cluster is used", err)
	}
	return path, nil
}

// testbedImage is this program as an image of the test bed.
const testbedImage = "fairlead:demo"

// onTestbed tells the Helm half inside of a cluster that lives as long. It has
// another network than this process, but the same files: telemetry comes out
// through a socket in one.
func (s *stage) onTestbed(ctx context.Context) (namespace string, err error) {
	program, err := testbedProgram(s.options.Self)
	if err != nil {
		return "", err
	}
	socket := filepath.Join(s.dir, "otlp.sock")
	_, otlp := s.server.OTLPAddrs()
	_, stop, err := relay(ctx, address{"unix", socket}, address{"tcp", otlp})
	if err != nil {
		return "", err
	}
	defer stop()
	s.story.line("cluster", "starting a real Kubernetes on this machine for it; it takes some 15 s, and longer the first time")
	cmd := exec.CommandContext(ctx, program, "run", "--quiet", "--no-gateway", "--image", testbedImage+"="+s.options.Self, "--",
		s.options.Self, "demo", "releases", "--image", "fairlead.test/"+testbedImage, "--telemetry-socket", socket,
		"--began", strconv.FormatInt(s.story.began.UnixNano(), 10), "--color="+strconv.FormatBool(s.options.Color))
	cmd.Env = without(os.Environ(), "KUBECONFIG", helm.EnvBin)
	cmd.Stdout, cmd.Stderr = s.story, s.story
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = removalTimeout + interruptGrace
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		return "", fmt.Errorf("%w: the test bed cannot run on this machine, as it says above", ErrNoCluster)
	}
	if err != nil {
		return "", fmt.Errorf("the Helm half on the test bed: %w", err)
	}
	return "", nil
}

// without is env without the named variables.
func without(env []string, names ...string) []string {
	var kept []string
	for _, v := range env {
		drop := false
		for _, name := range names {
			drop = drop || len(v) > len(name) && v[:len(name)+1] == name+"="
		}
		if !drop {
			kept = append(kept, v)
		}
	}
	return kept
}

type address struct{ network, address string }

// relay passes connections on until stop, and returns where it listens.
func relay(ctx context.Context, from, to address) (at net.Addr, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, from.network, from.address)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the cluster's telemetry: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // what an interrupted Helm tells is wanted too
	var work sync.WaitGroup
	work.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return // closed
			}
			out, err := (&net.Dialer{}).DialContext(ctx, to.network, to.address)
			if err != nil {
				in.Close()
				continue
			}
			context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			work.Go(func() { _, _ = io.Copy(out, in); out.Close() })
			work.Go(func() { _, _ = io.Copy(in, out); in.Close() })
		}
	})
	return listener.Addr(), func() { cancel(); listener.Close(); work.Wait() }, nil
}
