package emit

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// probeTimeout bounds the look for a collector on the loopback interface, where
// an answer takes microseconds. It stands before Helm's start.
const probeTimeout = 50 * time.Millisecond

// The loopback endpoints looked for when none is configured: the standard ports
// of OTLP over HTTP and over gRPC.
const (
	localHTTP = "127.0.0.1:4318"
	localGRPC = "127.0.0.1:4317"
)

// The signals, as the OTEL_* variables spell them.
const (
	signalTraces  = "TRACES"
	signalMetrics = "METRICS"
	signalLogs    = "LOGS"
)

var signals = []string{signalTraces, signalMetrics, signalLogs}

// route is where one signal goes.
type route struct {
	otlp     bool
	console  bool
	grpc     bool
	endpoint string // host:port found by the probe; "" = the exporter reads the environment
	shown    string // the endpoint for people
}

// plan is where every signal goes, by signal.
type plan struct {
	routes map[string]route
	notes  []string // settings that could not be honoured
}

// planFromEnv decides where telemetry goes. Per signal: OTEL_<SIGNAL>_EXPORTER
// (otlp by default, console, none), a configured endpoint, else a collector
// found by one silent probe of the loopback interface, else nowhere.
func planFromEnv(ctx context.Context) plan {
	p := plan{routes: map[string]route{}}
	probed := map[string]bool{}
	probe := func(addr string) bool {
		up, known := probed[addr]
		if !known {
			up = listening(ctx, addr)
			probed[addr] = up
		}
		return up
	}
	for _, s := range signals {
		r := route{}
		for _, name := range strings.Split(cmp.Or(os.Getenv("OTEL_"+s+"_EXPORTER"), "otlp"), ",") {
			switch strings.TrimSpace(strings.ToLower(name)) {
			case "otlp":
				r.otlp = true
			case "console":
				r.console = true
			case "none", "":
			default:
				p.note("OTEL_%s_EXPORTER=%q is not one of otlp, console, none", s, name)
			}
		}
		if r.otlp {
			p.otlp(&r, s, probe)
		}
		p.routes[s] = r
	}
	return p
}

func (p *plan) otlp(r *route, signal string, probe func(addr string) bool) {
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	switch protocol {
	case "grpc":
		r.grpc = true
	case "", "http/protobuf", "http/json":
	default:
		p.note("OTLP protocol %q is not one of grpc, http/protobuf, http/json", protocol)
		r.otlp = false
		return
	}
	r.shown = cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if r.shown != "" {
		r.shown = withoutUserinfo(r.shown)
		return
	}
	local := localHTTP
	if r.grpc {
		local = localGRPC
	}
	if !probe(local) {
		r.otlp = false
		return
	}
	r.endpoint, r.shown = local, local
}

func (p *plan) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.notes, text) {
		p.notes = append(p.notes, text)
	}
}

// destination names the endpoints for people, without doubles.
func (p plan) destination() string {
	var out []string
	for _, s := range signals {
		if r := p.routes[s]; r.otlp && !slices.Contains(out, r.shown) {
			out = append(out, r.shown)
		}
	}
	return strings.Join(out, ", ")
}

// listening reports whether something accepts TCP connections at addr.
func listening(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// withoutUserinfo drops credentials from an endpoint's URL.
func withoutUserinfo(endpoint string) string {
	scheme, rest, ok := strings.Cut(endpoint, "://")
	if !ok {
		return endpoint
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	path, _, _ = strings.Cut(path, "?")
	if path != "" {
		path = "/" + path
	}
	return scheme + "://" + host + path
}

// temporalityFromEnv is delta unless the standard variable asks for another:
// the deltas of separate processes add up, their cumulative values never do.
func temporalityFromEnv() metricdata.Temporality {
	if strings.EqualFold(os.Getenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"), "cumulative") {
		return metricdata.CumulativeTemporality
	}
	return metricdata.DeltaTemporality
}
