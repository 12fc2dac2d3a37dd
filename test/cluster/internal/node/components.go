//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/host"
)

// Component names.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	Containerd        = "containerd"
)

// component is one supervised process.
type component struct {
	name  string
	path  string
	args  []string
	ready func(context.Context) error // nil when it answers
}

// components are all processes of the node, in the order of their start.
func components(c Config) ([]component, error) {
	containerd, err := host.Find("containerd")
	if err != nil {
		return nil, err
	}
	kubernetes := func(name, ready string, args ...string) component {
		return component{name: name, path: filepath.Join(c.Components, name), args: args, ready: answers(ready)}
	}
	apiServer := []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--service-cluster-ip-range=" + serviceCIDR,
		"--secure-port=6443",
		"--advertise-address=" + Address,
		"--endpoint-reconciler-type=lease",
		"--tls-cert-file=" + c.pki("apiserver.crt"),
		"--tls-private-key-file=" + c.pki("apiserver.key"),
		"--client-ca-file=" + c.pki("ca.crt"),
		"--kubelet-client-certificate=" + c.pki("admin.crt"),
		"--kubelet-client-key=" + c.pki("admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + c.pki("sa.pub"),
		"--service-account-signing-key-file=" + c.pki("sa.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--profiling=false",
	}
	if c.Audit {
		apiServer = append(apiServer, "--audit-policy-file="+c.path("audit.yaml"), "--audit-log-path="+c.path(AuditLog))
	}
	return []component{
		{
			name: Containerd, path: containerd, args: []string{"--config=" + c.path("containerd.toml")},
			ready: listens("unix", "/run/containerd/containerd.sock"),
		},
		kubernetes(Etcd, "http://127.0.0.1:2379/health",
			"--name="+Name,
			"--data-dir="+c.path("etcd"),
			"--unsafe-no-fsync", // the data dies with the cluster
			"--listen-client-urls=http://127.0.0.1:2379",
			"--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--log-level=warn"),
		kubernetes(APIServer, Server+"/readyz", apiServer...),
		// As admin and with one identity for all controllers the default
		// service account is there within a second, not within five.
		kubernetes(ControllerManager, "https://127.0.0.1:10257/healthz",
			"--kubeconfig="+c.kubeconfig(admin),
			"--leader-elect=false",
			"--service-account-private-key-file="+c.pki("sa.key"),
			"--root-ca-file="+c.pki("ca.crt"),
			"--cluster-cidr="+podCIDR,
			"--allocate-node-cidrs=true",
			"--node-cidr-mask-size="+nodePodMaskSize,
			"--profiling=false"),
		kubernetes(Scheduler, "https://127.0.0.1:10259/healthz",
			"--kubeconfig="+c.kubeconfig(scheduler),
			"--leader-elect=false",
			"--profiling=false"),
		kubernetes(Kubelet, "http://127.0.0.1:10248/healthz",
			"--config="+c.path("kubelet.json"),
			"--kubeconfig="+c.kubeconfig(kubelet),
			"--hostname-override="+Name,
			"--node-ip="+Address,
			"--v=2"),
		// Without the right to change the machine's conntrack settings the
		// proxy must not try.
		kubernetes(Proxy, "http://127.0.0.1:10256/healthz",
			"--kubeconfig="+c.kubeconfig(admin),
			"--proxy-mode=nftables",
			"--cluster-cidr="+podCIDR,
			"--hostname-override="+Name,
			"--conntrack-max-per-core=0",
			"--conntrack-tcp-timeout-established=0",
			"--conntrack-tcp-timeout-close-wait=0"),
	}, nil
}

// environ is the environment of every component.
func environ() []string {
	return []string{"PATH=" + host.Path, "HOME=/root", "TMPDIR=" + os.TempDir(), "LC_ALL=C"}
}

// probeTimeout is one attempt's; the supervisor tries until its own deadline.
const probeTimeout = time.Second

// answers returns a probe that wants status 200. Who answers is not verified:
// only this node's processes can listen in its network namespace.
func answers(url string) func(context.Context) error {
	client := &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
			DisableKeepAlives: true,                                  // a restarted component has new connections
		},
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // what could be read explains the status
			return fmt.Errorf("%s answers %s: %s", url, resp.Status, b)
		}
		return nil
	}
}

// listens returns a probe that wants a connection.
func listens(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
