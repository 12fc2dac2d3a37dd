//go:build linux

// Package node is what runs inside a cluster's namespaces: the mounts and the
// network, the Kubernetes components as supervised processes, the registry,
// and the control socket. Start with Init, the first process of the namespaces.
package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// What every cluster has in common: each has namespaces of its own.
const (
	Name          = "node-1"
	Address       = "10.250.0.2"
	addressPrefix = 24
	Server        = "https://127.0.0.1:6443"
	serviceCIDR   = "10.96.0.0/16"
	// A /22, because one node shall hold releases of 200 pods.
	podCIDR         = "10.244.0.0/16"
	nodePodCIDR     = "10.244.0.0/22"
	nodePodMaskSize = "22"
	maxPods         = 250
	registryAddress = Address + ":5000"
	clusterDomain   = "cluster.local"
)

// Config is what the node is told by its keeper, as a file.
type Config struct {
	Dir         string   `json:"dir"`        // the cluster's state directory
	Components  string   `json:"components"` // directory of etcd, kube-apiserver, ...
	Images      []string `json:"images"`     // image stores of the registry
	CRDs        string   `json:"crds"`       // Gateway API's definitions
	Cgroup      string   `json:"cgroup"`     // name of the pods' control group
	CNIDir      string   `json:"cniDir"`     // directory of the CNI plugins
	Snapshotter string   `json:"snapshotter"`
	Gateway     bool     `json:"gateway"` // run Traefik
	Audit       bool     `json:"audit"`   // write an audit log
}

// Files of the state directory that others use too.
const (
	ConfigFile     = "node.json"
	KubeconfigFile = "kubeconfig"
	SocketFile     = "control.sock"
	AuditLog       = "logs/audit.log"
	LogDir         = "logs"
)

// LoadConfig reads the configuration of the cluster in dir.
func LoadConfig(dir string) (Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("read %s: %w", filepath.Join(dir, ConfigFile), err)
	}
	return c, nil
}

// Save writes the configuration into its state directory.
func (c Config) Save() error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.path(ConfigFile), b, 0o644)
}

func (c Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

func (c Config) pki(file string) string { return c.path("pki", file) }

func (c Config) kubeconfig(user string) string {
	if user == admin {
		return c.path(KubeconfigFile)
	}
	return c.path("pki", user+".kubeconfig")
}
