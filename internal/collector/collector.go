// Package collector makes configurations of the OpenTelemetry Collector that
// stands between pipelines, clusters and a backend: OTLP in, batches, resource
// attributes, Kubernetes events, and OTLP out over TLS.
package collector

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"

	"sigs.k8s.io/yaml"
)

// Options are what differs between installations.
type Options struct {
	Name      string // of the resource
	Namespace string
	// Endpoint is where everything goes: host:port for gRPC, or an https URL for HTTP.
	Endpoint string
	// Environment and Cluster are set on everything that has none, as
	// deployment.environment (and .name) and k8s.cluster.name; "" = left as it is.
	Environment string
	Cluster     string
	// CAFile is a certificate authority of the backend's own; Insecure sends
	// without TLS.
	CAFile   string
	Insecure bool
	// TokenEnv is the environment variable with the bearer token for the backend;
	// "" = none.
	TokenEnv string
	// TokenSecret is the Secret with that token under the key "token".
	TokenSecret string
	// Events takes Kubernetes events from these namespaces; empty = all. NoEvents
	// takes none: fairlead agent already does.
	Events   []string
	NoEvents bool
	Image    string // of the Collector; "" = the operator's own
}

// Default returns the options of deploy/collector.
func Default() Options {
	return Options{Name: "fairlead", Namespace: "fairlead", Endpoint: "fairlead.example.com:4317", Environment: "production", TokenEnv: "FAIRLEAD_TOKEN", TokenSecret: "fairlead-token"}
}

// Check returns what is wrong with the options, naming the flag.
func (o Options) Check() error {
	if o.Name == "" || o.Namespace == "" {
		return fmt.Errorf("--name and --namespace: want a name")
	}
	if o.http() {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Host == "" || u.User != nil {
			return fmt.Errorf("--endpoint %q: want an https URL without credentials, or host:port for gRPC", o.Endpoint)
		}
		if u.Scheme == "http" && !o.Insecure {
			return fmt.Errorf("--endpoint %q: without TLS; use https, or add --insecure", o.Endpoint)
		}
	} else if host, port, err := net.SplitHostPort(o.Endpoint); err != nil || host == "" || port == "" {
		return fmt.Errorf("--endpoint %q: want host:port for gRPC, or an https URL", o.Endpoint)
	}
	if o.Insecure && o.CAFile != "" {
		return fmt.Errorf("--ca-file and --insecure: want one of them")
	}
	if o.TokenEnv != "" && strings.ContainsAny(o.TokenEnv, "${}= ") {
		return fmt.Errorf("--token-env %q: want the name of an environment variable", o.TokenEnv)
	}
	if o.NoEvents && len(o.Events) > 0 {
		return fmt.Errorf("--events and --no-events: want one of them")
	}
	return nil
}

func (o Options) http() bool {
	return strings.HasPrefix(o.Endpoint, "http://") || strings.HasPrefix(o.Endpoint, "https://")
}

// Plain returns the Collector's own configuration file.
func Plain(o Options) ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return document(o.config())
}

// document is YAML with where it comes from.
func document(docs ...any) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# Made by `fairlead export collector`.\n")
	for i, d := range docs {
		text, err := yaml.Marshal(d)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

type object = map[string]any

func (o Options) config() object {
	receivers := object{"otlp": object{"protocols": object{
		"grpc": object{"endpoint": "0.0.0.0:4317"},
		"http": object{"endpoint": "0.0.0.0:4318"},
	}}}
	processors := object{
		// First in each pipeline: refuses, retryably, before memory runs out.
		"memory_limiter": object{"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 15},
		"batch":          object{"send_batch_size": 512, "timeout": "5s"},
	}
	names := []string{"memory_limiter"}
	if attributes := o.attributes(); len(attributes) > 0 {
		processors["resource"] = object{"attributes": attributes}
		names = append(names, "resource")
	}
	names = append(names, "batch")
	exporter, name := o.exporter()
	pipeline := func(from ...string) object {
		return object{"receivers": from, "processors": names, "exporters": []string{name}}
	}
	pipelines := object{"traces": pipeline("otlp"), "metrics": pipeline("otlp"), "logs": pipeline("otlp")}
	if !o.NoEvents {
		events := object{"auth_type": "serviceAccount"}
		if len(o.Events) > 0 {
			events["namespaces"] = o.Events
		}
		receivers["k8s_events"] = events
		pipelines["logs"] = pipeline("otlp", "k8s_events")
	}
	return object{
		"receivers": receivers, "processors": processors, "exporters": object{name: exporter},
		"service": object{"pipelines": pipelines},
	}
}

func (o Options) attributes() (out []object) {
	set := func(key, value, action string) {
		if value != "" {
			out = append(out, object{"key": key, "value": value, "action": action})
		}
	}
	set("deployment.environment", o.Environment, "upsert")
	set("deployment.environment.name", o.Environment, "upsert")
	set("k8s.cluster.name", o.Cluster, "upsert")
	return out
}

func (o Options) exporter() (config object, name string) {
	e := object{
		"endpoint":         o.Endpoint,
		"retry_on_failure": object{"enabled": true, "initial_interval": "5s", "max_interval": "30s", "max_elapsed_time": "0s"},
		"sending_queue":    object{"enabled": true, "queue_size": 5000},
	}
	switch {
	case o.Insecure:
		e["tls"] = object{"insecure": true}
	case o.CAFile != "":
		e["tls"] = object{"ca_file": o.CAFile}
	default:
		e["tls"] = object{"insecure": false}
	}
	if o.TokenEnv != "" {
		e["headers"] = object{"authorization": "Bearer ${env:" + o.TokenEnv + "}"}
	}
	if o.http() {
		return e, "otlphttp"
	}
	return e, "otlp"
}
