package config

import (
	"net"
	"path"
	"strconv"
	"strings"
)

// Listen says where the server listens and how much it takes at a time.
type Listen struct {
	// HTTP is the address of pages and query APIs. OTLPGRPC and OTLPHTTP are
	// those of the receivers; "off" switches one off.
	HTTP     string `yaml:"http"`
	OTLPGRPC string `yaml:"otlpGrpc"`
	OTLPHTTP string `yaml:"otlpHttp"`

	// TLS is for all three addresses; nil means plain text.
	TLS *ServerTLS `yaml:"tls"`

	// MaxRequest bounds one OTLP request after decompression, and the body of
	// a query.
	MaxRequest Bytes `yaml:"maxRequest"`

	// BasePath is the path below which a proxy serves all of HTTP, "" or
	// "/prefix"; the pages' links begin with it.
	BasePath string `yaml:"basePath"`

	// Insecure allows addresses that other machines reach without a token.
	Insecure bool `yaml:"insecure"`
}

// ServerTLS are the files of a TLS listener in PEM. With ClientCAFile, clients
// must show a certificate that it signed.
type ServerTLS struct {
	CertFile     string `yaml:"certFile"`     // PEM of the certificate and its chain
	KeyFile      string `yaml:"keyFile"`      // PEM of its key
	ClientCAFile string `yaml:"clientCAFile"` // PEM of the authority of clients' certificates; "" asks for none
}

// Off is the address of a listener that is switched off.
const Off = "off"

func defaultListen() Listen {
	return Listen{
		HTTP:     "127.0.0.1:8484",
		OTLPGRPC: "127.0.0.1:4317",
		OTLPHTTP: "127.0.0.1:4318",
		// The Collector's own default; an SDK's batch is far below 1 MiB.
		MaxRequest: 20 << 20,
	}
}

func (l *Listen) validate(p *problems) {
	checkAddress(p, "http", l.HTTP, false)
	checkAddress(p, "otlpGrpc", l.OTLPGRPC, true)
	checkAddress(p, "otlpHttp", l.OTLPHTTP, true)
	if l.BasePath != "" && (!strings.HasPrefix(l.BasePath, "/") || path.Clean(l.BasePath) != l.BasePath || l.BasePath == "/" || strings.ContainsAny(l.BasePath, " ?#%\"<>\\")) {
		p.add("basePath", l.BasePath, "want a path as /fairlead, without a slash at its end")
	}
	if l.MaxRequest < 64<<10 || l.MaxRequest > 1<<30 {
		p.add("maxRequest", l.MaxRequest, "want 64KiB to 1GiB")
	}
	if t := l.TLS; t != nil {
		if t.CertFile == "" {
			p.add("tls.certFile", nil, "is missing; TLS needs a certificate and its key")
		}
		if t.KeyFile == "" {
			p.add("tls.keyFile", nil, "is missing; TLS needs a certificate and its key")
		}
	}
}

func checkAddress(p *problems, field, address string, mayBeOff bool) {
	if mayBeOff && address == Off {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		p.add(field, address, "want host:port, such as 127.0.0.1:8484")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		p.add(field, address, "port %q: want 0 to 65535", port)
	}
}

// Loopback reports whether only this machine reaches address. A host name
// other than localhost counts as reachable from elsewhere.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// validateExposure refuses addresses that other machines reach unless
// requests must carry a token or client certificate, or the user insists.
func (s *Server) validateExposure(p *problems) {
	mutual := s.Listen.TLS != nil && s.Listen.TLS.ClientCAFile != ""
	if s.Listen.Insecure || len(s.Auth.Tokens) > 0 || mutual {
		return
	}
	for _, a := range []struct{ field, address string }{
		{"listen.http", s.Listen.HTTP}, {"listen.otlpGrpc", s.Listen.OTLPGRPC}, {"listen.otlpHttp", s.Listen.OTLPHTTP},
	} {
		if a.address != Off && !Loopback(a.address) {
			p.add(a.field, a.address, "other machines reach this address: add auth.tokens (or listen.tls.clientCAFile), or say --insecure to serve anyone")
		}
	}
}
