// Package addon holds the manifests of what every cluster runs: DNS, and the
// gateway unless it is left out.
package addon

import (
	_ "embed" // manifests
	"os"

	"fairlead.dev/fairlead/test/cluster/internal/artifact"
)

// Fixed addresses of Services.
const (
	DNSAddress     = "10.96.0.10" // kube-system/kube-dns
	GatewayAddress = "10.96.0.80" // kube-system/traefik, port 80
)

//go:embed dns.yaml
var dns string

//go:embed gateway.yaml
var gateway string

// DNS is CoreDNS, and the service account of all add-ons.
func DNS() []byte { return expand(dns) }

// Gateway is Traefik with a GatewayClass and a Gateway. The Gateway API's
// definitions must be applied with it.
func Gateway() []byte { return expand(gateway) }

func expand(manifests string) []byte {
	return []byte(os.Expand(manifests, func(name string) string {
		return map[string]string{
			"COREDNS": artifact.CoreDNSImage.String(),
			"TRAEFIK": artifact.TraefikImage.String(),
		}[name]
	}))
}
