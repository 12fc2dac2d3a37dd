// Package lego marks the root of a stand-in for the ACME client that Traefik
// links; the release it pins is not on the module proxy. The packages below
// have the declarations Traefik compiles against and no ACME: whatever would
// talk to a certificate authority returns an error.
package lego
