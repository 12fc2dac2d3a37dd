package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"fairlead.dev/fairlead/internal/config"
)

// bearers checks bearer tokens. It holds hashes, so that comparison takes the
// same time for every guess.
type bearers struct {
	tokens []bearer
}

type bearer struct {
	name   string
	hash   [sha256.Size]byte
	access []string
}

func newBearers(secrets []config.Secret) *bearers {
	b := &bearers{}
	for _, s := range secrets {
		b.tokens = append(b.tokens, bearer{s.Name, sha256.Sum256([]byte(s.Token)), s.Access})
	}
	return b
}

var (
	errNoToken  = errors.New("a bearer token is required: set the header \"Authorization: Bearer TOKEN\"")
	errBadToken = errors.New("the bearer token is not known here")
	errAccess   = errors.New("the bearer token does not allow this")
)

// check returns the name of the token that authorization carries, or why it
// does not give access. With no tokens configured everything but writing is
// allowed, under the name "".
func (b *bearers) check(authorization, access string) (string, error) {
	if len(b.tokens) == 0 && access != config.AccessWrite {
		return "", nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := -1
	for i := range b.tokens {
		if subtle.ConstantTimeCompare(hash[:], b.tokens[i].hash[:]) == 1 {
			found = i
		}
	}
	switch {
	case found < 0:
		return "", errBadToken
	case !slices.Contains(b.tokens[found].access, access):
		return b.tokens[found].name, errAccess
	default:
		return b.tokens[found].name, nil
	}
}

// ingest checks OTLP requests.
func (b *bearers) ingest(authorization string) error {
	_, err := b.check(authorization, config.AccessIngest)
	return err
}

type allowedKey struct{}

// Allowed reports whether the request of ctx may do what access says. Handlers
// that serve reads and actions under one route ask it before an action.
func Allowed(ctx context.Context, access Access) bool {
	f, ok := ctx.Value(allowedKey{}).(func(Access) bool)
	return ok && f(access)
}

type callerKey struct{}

// Caller names the token that the request of ctx came with, "" without one.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// guard lets a request through to next when its token gives access.
func (b *bearers) guard(access Access, next http.Handler) http.Handler {
	if access == "" {
		access = AccessRead
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		caller := ""
		if access != AccessNone {
			var err error
			if caller, err = b.check(authorization, string(access)); err != nil {
				code := http.StatusUnauthorized
				if errors.Is(err, errAccess) {
					code = http.StatusForbidden
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead"`)
				http.Error(w, err.Error(), code)
				return
			}
		}
		allowed := func(a Access) bool {
			_, err := b.check(authorization, string(a))
			return err == nil
		}
		ctx := context.WithValue(context.WithValue(r.Context(), allowedKey{}, allowed), callerKey{}, caller)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// sameHost refuses requests to a loopback address under a foreign host name:
// a web page elsewhere that points its own name at 127.0.0.1 would otherwise
// read everything through the visitor's browser.
func sameHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this server answers on this machine's loopback address only; a proxy in front of it needs auth.tokens in the server's configuration", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
