package otlp

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Signals are the signals of OTLP.
var Signals = []string{"traces", "metrics", "logs"}

// UpstreamsFromEnv reads the standard OTEL_EXPORTER_OTLP_* variables (general
// and of each signal) and OTEL_<SIGNAL>_EXPORTER, and returns where each signal
// goes. A signal without an endpoint, or turned off, is not among them. Sizes
// and times of queues are left to the caller. The error names the variable and
// its value.
func UpstreamsFromEnv(getenv func(string) string) (map[string]Upstream, error) {
	out := make(map[string]Upstream)
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return out, nil
	}
	for _, signal := range Signals {
		u, ok, err := upstreamFromEnv(getenv, signal)
		if err != nil {
			return nil, err
		}
		if ok {
			out[signal] = u
		}
	}
	return out, nil
}

func upstreamFromEnv(getenv func(string) string, signal string) (u Upstream, ok bool, err error) {
	upper := strings.ToUpper(signal)
	switch v := getenv("OTEL_" + upper + "_EXPORTER"); strings.ToLower(v) {
	case "", "otlp":
	case "none":
		return u, false, nil
	default:
		return u, false, fmt.Errorf("OTEL_%s_EXPORTER=%q: want otlp or none", upper, v)
	}
	own := func(name string) string { return getenv("OTEL_EXPORTER_OTLP_" + upper + "_" + name) }
	either := func(name string) string { return cmp.Or(own(name), getenv("OTEL_EXPORTER_OTLP_"+name)) }
	u = Upstream{Name: signal, Signals: []string{signal}, Compression: cmp.Or(either("COMPRESSION"), "gzip"), Timeout: 10 * time.Second}
	switch p := either("PROTOCOL"); p {
	case "", "http/protobuf", "http/json":
		u.HTTP = true
	case "grpc":
	default:
		return u, false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%q: want grpc or http/protobuf", p)
	}
	endpoint := own("ENDPOINT")
	if endpoint != "" && u.HTTP {
		// Of one signal it is the whole URL.
		base, found := strings.CutSuffix(strings.TrimSuffix(endpoint, "/"), "/v1/"+signal)
		if !found {
			return u, false, fmt.Errorf("OTEL_EXPORTER_OTLP_%s_ENDPOINT=%q: want a URL that ends in /v1/%s", upper, endpoint, signal)
		}
		endpoint = base
	}
	if endpoint = cmp.Or(endpoint, getenv("OTEL_EXPORTER_OTLP_ENDPOINT")); endpoint == "" {
		return u, false, nil
	}
	if err := u.address(endpoint); err != nil {
		return u, false, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT=%q: %w", endpoint, err)
	}
	if v := either("INSECURE"); v != "" && !strings.Contains(endpoint, "://") {
		u.Insecure = strings.EqualFold(v, "true")
	}
	if v := either("TIMEOUT"); v != "" {
		ms, err := strconv.Atoi(v)
		if err != nil || ms <= 0 {
			return u, false, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT=%q: want milliseconds above 0", v)
		}
		u.Timeout = time.Duration(ms) * time.Millisecond
	}
	u.CAFile, u.CertFile, u.KeyFile = either("CERTIFICATE"), either("CLIENT_CERTIFICATE"), either("CLIENT_KEY")
	u.Headers = make(map[string]string)
	for _, list := range []string{getenv("OTEL_EXPORTER_OTLP_HEADERS"), own("HEADERS")} {
		for pair := range strings.SplitSeq(list, ",") {
			k, v, found := strings.Cut(pair, "=")
			if !found {
				continue
			}
			if plain, err := url.PathUnescape(strings.TrimSpace(v)); err == nil {
				v = plain
			}
			u.Headers[strings.TrimSpace(k)] = v
		}
	}
	return u, true, nil
}

// address sets the endpoint as the exporters want it.
func (u *Upstream) address(endpoint string) error {
	if u.HTTP && !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	scheme, host, found := strings.Cut(endpoint, "://")
	if !found {
		u.Endpoint = endpoint
		return nil
	}
	parsed, err := url.Parse(endpoint)
	if err != nil || parsed.Host == "" || scheme != "http" && scheme != "https" {
		return fmt.Errorf("want http(s)://host:port")
	}
	u.Insecure = scheme == "http"
	u.Endpoint = strings.TrimSuffix(endpoint, "/")
	if !u.HTTP {
		u.Endpoint = strings.TrimSuffix(host, "/")
	}
	return nil
}
