//go:build linux

package node

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/addon"
	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/pki"
)

// Users of the API; admin's kubeconfig is the cluster's.
const (
	admin     = "admin"
	scheduler = "scheduler"
	kubelet   = "kubelet"
)

// Prepare fills the state directory: certificates, kubeconfigs and the
// components' configuration. now dates the certificates.
func Prepare(c Config, now time.Time) error {
	for _, dir := range []string{"", "pki", LogDir, "containerd", "kubelet", "cni", "cni.d", "certs.d/_default"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.Save(); err != nil {
		return err
	}
	if err := writePKI(c, now); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	kubeletConfig, err := json.MarshalIndent(kubeletConfiguration(c), "", "  ")
	if err != nil {
		return err
	}
	cni, err := json.MarshalIndent(cniConfiguration(), "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"kubelet.json":                string(kubeletConfig),
		"cni.d/10-ptp.conflist":       string(cni),
		"containerd.toml":             containerdConfiguration(c),
		"certs.d/_default/hosts.toml": registryConfiguration,
		"resolv.conf":                 "nameserver " + addon.DNSAddress + "\n",
		"audit.yaml":                  auditPolicy,
	} {
		if err := os.WriteFile(c.path(name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writePKI(c Config, now time.Time) error {
	authority, err := pki.NewAuthority("fairlead-test-cluster", now)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.pki("ca.crt"), authority.Certificate, 0o644); err != nil {
		return err
	}
	private, public, err := pki.NewSigningKey()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.pki("sa.key"), private, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(c.pki("sa.pub"), public, 0o644); err != nil {
		return err
	}
	for file, subject := range map[string]pki.Subject{
		"apiserver": {Name: "kube-apiserver", Hosts: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + clusterDomain, "127.0.0.1", "10.96.0.1", Address,
		}},
		admin:     {Name: "admin", Groups: []string{"system:masters"}},
		scheduler: {Name: "system:kube-scheduler"},
		kubelet:   {Name: "system:node:" + Name, Groups: []string{"system:nodes"}, Hosts: []string{Name, Address}},
	} {
		pair, err := authority.Issue(subject)
		if err != nil {
			return err
		}
		if err := pair.Write(c.path("pki"), file); err != nil {
			return err
		}
		if file == "apiserver" {
			continue
		}
		config := pki.Kubeconfig(Server, authority.Certificate, file, pair)
		if err := os.WriteFile(c.kubeconfig(file), config, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// registryConfiguration sends the pulls of every host to the node's registry,
// so that nothing ever leaves the machine.
const registryConfiguration = `server = "http://` + registryAddress + `"

[host."http://` + registryAddress + `"]
  capabilities = ["pull", "resolve"]
`

// auditPolicy notes who asked for what, without bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// pauseImage is the sandbox of every pod.
func pauseImage() string { return image.Host + "/pause:1" }

func containerdConfiguration(c Config) string {
	// Without CAP_SYS_RESOURCE, as in many containers, lowering a sandbox's
	// OOM score fails, and with it every pod. restrict_oom_score_adj avoids that.
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = %q
  conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = %q
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = %q
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
`, pauseImage(), c.CNIDir, c.path("cni.d"), c.path("certs.d"), c.Snapshotter)
}

// cniConfiguration joins each pod to the node by a pair of interfaces; a
// bridge would need kernel modules that not every machine has.
func cniConfiguration() map[string]any {
	type object = map[string]any
	return object{
		"cniVersion": "0.4.0",
		"name":       "fairlead-test",
		"plugins": []object{
			{
				"type": "ptp", "ipMasq": false, "mtu": 1500,
				"ipam": object{
					"type":   "host-local",
					"ranges": [][]object{{{"subnet": nodePodCIDR}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}
}

func kubeletConfiguration(c Config) map[string]any {
	type object = map[string]any
	return object{
		"apiVersion":               "kubelet.config.k8s.io/v1beta1",
		"kind":                     "KubeletConfiguration",
		"failCgroupV1":             false,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + c.Cgroup,
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"tlsCertFile":              c.pki("kubelet.crt"),
		"tlsPrivateKeyFile":        c.pki("kubelet.key"),
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": c.pki("ca.crt")},
		},
		"authorization":          object{"mode": "Webhook"},
		"failSwapOn":             false,
		"clusterDomain":          clusterDomain,
		"clusterDNS":             []string{addon.DNSAddress},
		"resolvConf":             c.path("resolv.conf"),
		"enforceNodeAllocatable": []string{"pods"},
		// The disk is the machine's own and may well be nearly full; a percentage of
		// a large one would be gigabytes.
		"evictionHard": object{
			"memory.available": "100Mi", "nodefs.available": "256Mi", "imagefs.available": "256Mi", "nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
		"maxPods":                     maxPods,
		"podPidsLimit":                1024,
		"serializeImagePulls":         false,
		"registryPullQPS":             0, // no limit: a release of 200 pods
		"nodeStatusUpdateFrequency":   "5s",
		"syncFrequency":               "10s",
	}
}
