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
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the credential plugins that Helm has
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// Defaults of [ClientOptions].
const (
	// A watch beside Helm opens about ten streams at once and must not wait for
	// tokens; client-go's default of 5 requests/s would delay it by a second.
	defaultQPS   = 50
	defaultBurst = 100
	// An API server that does not answer within ten seconds does not help a
	// pipeline that waits for our answer.
	defaultTimeout = 10 * time.Second
)

// ClientOptions are Helm's connection settings, its flags and HELM_* variables
// already resolved. Zero values mean what they mean to Helm.
type ClientOptions struct {
	// Kubeconfig is --kubeconfig: a path, or a list of paths in KUBECONFIG's
	// notation. Empty means KUBECONFIG, then ~/.kube/config, then the service
	// account of the pod.
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
	// Timeout bounds each request that is not a watch; default 10 s.
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
	timeout   time.Duration
	namespace string
	cluster   string
	clusterID clusterID

	config   *rest.Config
	typed    kubernetes.Interface
	metadata metadata.Interface
	requests counter
	clock    clock
}

// NewClient reads the kubeconfig and prepares a client. Without any
// configuration it is, as with Helm, one of the pod's service account, and
// outside of a pod for http://localhost:8080. It makes no request and runs no
// credential plugin: both wait for the first use. The error names what
// of the configuration cannot be read.
func NewClient(opts ClientOptions) (*Client, error) {
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	loader := clientConfig(opts)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the namespace of the kubeconfig: %w", err)
	}
	c := &Client{
		timeout:   orDefault(opts.Timeout, defaultTimeout),
		namespace: orDefault(namespace, "default"),
		cluster:   clusterName(opts),
		config:    config,
	}
	config.QPS = orDefault(opts.QPS, defaultQPS)
	config.Burst = orDefault(opts.Burst, defaultBurst)
	config.UserAgent = orDefault(opts.UserAgent, "fairlead")
	config.WarningHandler = rest.NoWarnings{} // deprecations are Helm's to tell
	config.Wrap(c.requests.wrap)
	config.Wrap(c.clock.wrap)
	config.Wrap(newFirstRequest().wrap)

	if c.metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("prepare a client for %s: %w", config.Host, err)
	}
	// Protobuf takes about a third of JSON's bytes and a tenth of its decoding.
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if c.typed, err = kubernetes.NewForConfig(typed); err != nil {
		return nil, fmt.Errorf("prepare a client for %s: %w", config.Host, err)
	}
	return c, nil
}

// clientConfig resolves the settings as Helm does, through clientcmd.
func clientConfig(opts ClientOptions) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	// What equals this is no configuration at all: then a pod's service account is
	// looked for before http://localhost:8080 is, as Helm does.
	rules.DefaultClientConfig = &clientcmd.DefaultClientConfig
	switch list := filepath.SplitList(opts.Kubeconfig); {
	case len(list) == 1:
		rules.ExplicitPath = list[0]
	case len(list) > 1:
		rules.Precedence, rules.MigrationRules, rules.WarnIfAllMissing = list, nil, false
	default:
		if env := filepath.SplitList(opts.Getenv("KUBECONFIG")); len(env) > 0 {
			rules.Precedence, rules.MigrationRules, rules.WarnIfAllMissing = env, nil, false
		}
	}
	over := &clientcmd.ConfigOverrides{ClusterDefaults: clientcmd.ClusterDefaults, CurrentContext: opts.Context}
	over.Context.Namespace = opts.Namespace
	over.ClusterInfo.Server = opts.APIServer
	over.ClusterInfo.CertificateAuthority = opts.CAFile
	over.ClusterInfo.TLSServerName = opts.TLSServerName
	over.ClusterInfo.InsecureSkipTLSVerify = opts.Insecure
	over.AuthInfo.Token = opts.Token
	over.AuthInfo.Impersonate = opts.AsUser
	over.AuthInfo.ImpersonateGroups = opts.AsGroups
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over)
}

// ContextNamespace returns the namespace that Helm uses with the same settings.
func (c *Client) ContextNamespace() string { return c.namespace }

// Config returns the configuration of connections to the cluster. The caller
// must not change it.
func (c *Client) Config() *rest.Config { return c.config }

// ClusterName returns k8s.cluster.name; empty when nobody named the cluster.
func (c *Client) ClusterName() string { return c.cluster }

// SilenceClientLogs ends client-go's own log lines, which would stand between
// Helm's. It is for the process to call once, before the first client.
func SilenceClientLogs() { klog.SetLogger(logr.Discard()) }

func clusterName(opts ClientOptions) string {
	if opts.ClusterName != "" {
		return opts.ClusterName
	}
	if name := opts.Getenv("FAIRLEAD_CLUSTER_NAME"); name != "" {
		return name
	}
	for pair := range strings.SplitSeq(opts.Getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		if k, v, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(k) == "k8s.cluster.name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
