//go:build component

// Command coredns is CoreDNS with only the plugins that cluster DNS needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"      // answers from memory
	_ "github.com/coredns/coredns/plugin/errors"     // logs failed queries
	_ "github.com/coredns/coredns/plugin/health"     // liveness endpoint
	_ "github.com/coredns/coredns/plugin/kubernetes" // Services and pods
	_ "github.com/coredns/coredns/plugin/ready"      // readiness endpoint
)

func main() {
	// The order in which a query passes the plugins.
	dnsserver.Directives = []string{"errors", "health", "ready", "cache", "kubernetes"}
	coremain.Run()
}
