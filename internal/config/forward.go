package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Forward is an upstream that gets a copy of what the server receives.
type Forward struct {
	Name     string   `yaml:"name"`     // of its own; its queue on disk is kept under it
	Endpoint string   `yaml:"endpoint"` // grpc: host:port; http: URL without /v1/...
	Protocol string   `yaml:"protocol"` // grpc or http; default grpc
	Signals  []string `yaml:"signals"`  // traces, metrics, logs; default all

	Headers     map[string]string `yaml:"headers"`     // of every request; no secrets
	HeadersFrom map[string]string `yaml:"headersFrom"` // header to environment variable
	TLS         *ClientTLS        `yaml:"tls"`         // of the connection
	Compression string            `yaml:"compression"` // gzip, zstd or none; default gzip

	// Resource attributes set on all that is forwarded, replacing what is there.
	Resource map[string]string `yaml:"resource"`

	Batch   Batch    `yaml:"batch"`   // what is sent at a time
	Queue   Queue    `yaml:"queue"`   // what waits while the upstream is away
	Retry   Retry    `yaml:"retry"`   // how it is tried again
	Timeout Duration `yaml:"timeout"` // of one request; default 10s
}

// ClientTLS says how an upstream is trusted. Plain text needs Insecure, or an
// http:// endpoint.
type ClientTLS struct {
	CAFile     string `yaml:"caFile"`     // PEM of the authority that signed the upstream's certificate; "" = the system's
	CertFile   string `yaml:"certFile"`   // PEM of our own certificate, where the upstream asks for one
	KeyFile    string `yaml:"keyFile"`    // PEM of its key
	ServerName string `yaml:"serverName"` // name in the upstream's certificate, when it is another than the endpoint's
	Insecure   bool   `yaml:"insecure"`   // no TLS at all
}

// Batch is how much is sent at once: Size items (spans, points, records), or
// what there is after Timeout. Defaults 512 and 5s.
type Batch struct {
	Size    int      `yaml:"size"`    // spans, points or log records
	Timeout Duration `yaml:"timeout"` // after which less is sent, too
}

// Queue bounds the queue on disk that outlives a restart: in items, default
// 100000. When it is full the newest is dropped and counted.
type Queue struct {
	Size int `yaml:"size"` // spans, points or log records
}

// Retry is the back-off of failed requests, from Initial (5s) up to Max (30s),
// given up after MaxElapsed (default 0: never while the queue has room).
type Retry struct {
	Initial    Duration `yaml:"initial"`    // wait before the first
	Max        Duration `yaml:"max"`        // wait between two
	MaxElapsed Duration `yaml:"maxElapsed"` // in all; 0 is without end
}

var signals = []string{"traces", "metrics", "logs"}

// WithDefaults returns f with every field that was left out set.
func (f Forward) WithDefaults() Forward {
	set := func(d *Duration, v time.Duration) {
		if *d == 0 {
			*d = Duration(v)
		}
	}
	if f.Protocol == "" {
		f.Protocol = "grpc"
	}
	if len(f.Signals) == 0 {
		f.Signals = signals
	}
	if f.Compression == "" {
		f.Compression = "gzip"
	}
	if f.Batch.Size == 0 {
		f.Batch.Size = 512
	}
	if f.Queue.Size == 0 {
		f.Queue.Size = 100_000
	}
	set(&f.Batch.Timeout, 5*time.Second)
	set(&f.Retry.Initial, 5*time.Second)
	set(&f.Retry.Max, 30*time.Second)
	set(&f.Timeout, 10*time.Second)
	return f
}

func (f *Forward) validate(p *problems) {
	if f.Name == "" {
		p.add("name", nil, "is missing; it names the upstream's queue and metrics")
	} else if strings.ContainsAny(f.Name, "/\\ ") {
		p.add("name", f.Name, "want a name without blanks and slashes")
	}
	d := f.WithDefaults()
	switch d.Protocol {
	case "grpc":
		if d.Endpoint == "" || strings.HasSuffix(d.Endpoint, "/") {
			p.add("endpoint", f.Endpoint, "want host:port for grpc, such as collector:4317")
		}
	case "http":
		if u, err := url.Parse(d.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			p.add("endpoint", f.Endpoint, "want a URL for http, such as https://collector:4318")
		} else if u.User != nil {
			p.add("endpoint", u.Redacted(), "credentials belong in headers or headersFrom")
		}
	default:
		p.add("protocol", f.Protocol, "want grpc or http")
	}
	for _, s := range d.Signals {
		if !slices.Contains(signals, s) {
			p.add("signals", s, "want traces, metrics or logs")
		}
	}
	if !slices.Contains([]string{"gzip", "zstd", "none"}, d.Compression) {
		p.add("compression", f.Compression, "want gzip, zstd or none")
	}
	if d.Batch.Size < 1 || d.Batch.Size > 100_000 {
		p.add("batch.size", f.Batch.Size, "want 1 to 100000 items")
	}
	if d.Queue.Size < d.Batch.Size {
		p.add("queue.size", f.Queue.Size, "want at least one batch (%d items)", d.Batch.Size)
	}
	for _, t := range []struct {
		field string
		value Duration
	}{{"batch.timeout", d.Batch.Timeout}, {"retry.initial", d.Retry.Initial}, {"retry.max", d.Retry.Max}, {"timeout", d.Timeout}} {
		if t.value <= 0 {
			p.add(t.field, t.value, "want more than 0")
		}
	}
	if d.Retry.Max < d.Retry.Initial {
		p.add("retry.max", f.Retry.Max, "is less than retry.initial (%s)", d.Retry.Initial)
	}
	if t := f.TLS; t != nil {
		if (t.CertFile == "") != (t.KeyFile == "") {
			p.add("tls.certFile", t.CertFile, "certFile and keyFile go together")
		}
		if t.Insecure && (t.CAFile != "" || t.CertFile != "") {
			p.add("tls.insecure", true, "means no TLS; remove the certificates or insecure")
		}
	}
}
