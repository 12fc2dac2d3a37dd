// Package kubeapi is the little that the test bed itself asks of the
// Kubernetes API: apply manifests and read status. It is not a client for
// tests; those use their own.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fairlead.dev/fairlead/test/cluster/internal/pki"
)

// ErrNotFound is returned for an object, or a kind, that the server does not
// have.
var ErrNotFound = errors.New("not found")

// Client talks to one API server with a client certificate.
type Client struct {
	server string
	http   *http.Client
}

// New returns a client of a server, "https://127.0.0.1:6443".
func New(server string, authority []byte, user pki.Pair) (*Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the authority's certificate is not PEM")
	}
	cert, err := tls.X509KeyPair(user.Certificate, user.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &Client{
		server: server,
		http: &http.Client{
			Timeout: 10 * time.Second,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}},
			},
		},
	}, nil
}

// Get reads path into v; v may be nil. The error is ErrNotFound for status 404.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, "", nil, v)
}

// maxAnswer bounds an answer: the largest object the test bed reads is a
// custom resource definition of 400 KiB.
const maxAnswer = 8 << 20

func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "fairlead-test-cluster")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s %s: %w", method, path, ErrNotFound)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(b))
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(b, v)
}

// resources are the kinds that the test bed's manifests use.
var resources = map[string]struct {
	plural  string
	cluster bool // not in a namespace
}{
	"ClusterRoleBinding":               {"clusterrolebindings", true},
	"ConfigMap":                        {"configmaps", false},
	"CustomResourceDefinition":         {"customresourcedefinitions", true},
	"Deployment":                       {"deployments", false},
	"Gateway":                          {"gateways", false},
	"GatewayClass":                     {"gatewayclasses", true},
	"Service":                          {"services", false},
	"ServiceAccount":                   {"serviceaccounts", false},
	"ValidatingAdmissionPolicy":        {"validatingadmissionpolicies", true},
	"ValidatingAdmissionPolicyBinding": {"validatingadmissionpolicybindings", true},
}

// Apply applies the documents of a YAML stream by server-side apply, in order.
// A kind that is not served yet is waited for until ctx ends: its definition
// may have been applied a moment ago.
func (c *Client) Apply(ctx context.Context, manifests []byte) error {
	for doc := range strings.SplitSeq("\n"+string(manifests), "\n---") {
		object, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			return fmt.Errorf("parse manifest: %w", err)
		}
		if string(object) == "null" {
			continue
		}
		path, err := objectPath(object)
		if err != nil {
			return err
		}
		for {
			err = c.do(ctx, http.MethodPatch, path+"?fieldManager=fairlead-test-cluster&force=true", "application/apply-patch+yaml", object, nil)
			if !errors.Is(err, ErrNotFound) || ctx.Err() != nil {
				break
			}
			sleep(ctx, 50*time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	return nil
}

// objectPath is where an object lives in the API.
func objectPath(object []byte) (string, error) {
	var o struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return "", err
	}
	r, ok := resources[o.Kind]
	if !ok || o.APIVersion == "" || o.Metadata.Name == "" {
		return "", fmt.Errorf("manifest of kind %q, apiVersion %q, name %q: the test bed cannot apply that", o.Kind, o.APIVersion, o.Metadata.Name)
	}
	prefix := "/apis/"
	if o.APIVersion == "v1" {
		prefix = "/api/"
	}
	path := prefix + o.APIVersion
	if !r.cluster {
		namespace := o.Metadata.Namespace
		if namespace == "" {
			namespace = "default"
		}
		path += "/namespaces/" + namespace
	}
	return path + "/" + r.plural + "/" + o.Metadata.Name, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
