// Package auth has the part of go-http-auth's interface that Traefik compiles
// against. The fork Traefik pins is not on the module proxy. The test bed
// configures no basic or digest auth; if a route did, every request would be
// refused.
package auth

import "net/http"

// SecretProvider returns the stored secret of user in realm.
type SecretProvider func(user, realm string) string

func refuse(w http.ResponseWriter) {
	http.Error(w, "this build has no basic or digest authentication", http.StatusUnauthorized)
}

// BasicAuth refuses every request.
type BasicAuth struct {
	Realm   string
	Secrets SecretProvider
}

// RequireAuth answers 401.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// CheckSecret accepts no password.
func CheckSecret(_, _ string) bool { return false }

// DigestAuth refuses every request.
type DigestAuth struct{}

// NewDigestAuthenticator returns a DigestAuth.
func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

// CheckAuth authenticates nobody.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth answers 401.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale answers 401.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuthParams parses nothing.
func DigestAuthParams(string) map[string]string { return nil }
