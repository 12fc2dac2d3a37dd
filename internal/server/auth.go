package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/config"
)

// bearers checks bearer tokens, the sessions made from them, and what a trusted
// proxy says. It holds hashes, so that comparison takes the same time for every
// guess.
type bearers struct {
	tokens  []bearer
	proxy   *proxyTrust
	formKey []byte // of forms that belong to no session
}

type bearer struct {
	name   string
	hash   [sha256.Size]byte
	access []string
}

func newBearers(secrets []config.Secret, proxy *config.AuthProxy) *bearers {
	b := &bearers{proxy: newProxyTrust(proxy), formKey: make([]byte, sha256.Size)}
	_, _ = rand.Read(b.formKey) // never fails
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

// caller is who asks, and what they may do.
type caller struct {
	name   string
	access []string
}

func (c caller) may(access string) bool { return slices.Contains(c.access, access) }

// anonymous is everybody where nothing asks who they are.
var anonymous = caller{access: []string{config.AccessIngest, config.AccessRead}}

// open reports whether nothing asks who somebody is.
func (b *bearers) open() bool { return len(b.tokens) == 0 && b.proxy == nil }

// token returns whose token authorization carries.
func (b *bearers) token(authorization string) (caller, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return caller{}, errNoToken
	}
	found, ok := b.find(strings.TrimSpace(token))
	if !ok {
		return caller{}, errBadToken
	}
	return caller{found.name, found.access}, nil
}

func (b *bearers) find(token string) (bearer, bool) {
	hash := sha256.Sum256([]byte(token))
	found := -1
	for i := range b.tokens {
		if subtle.ConstantTimeCompare(hash[:], b.tokens[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return bearer{}, false
	}
	return b.tokens[found], true
}

// who returns who made the request. A session counts for reading, and for
// acting where cookies says that the handler tells forged requests apart.
func (b *bearers) who(r *http.Request, cookies bool) (caller, error) {
	if authorization := r.Header.Get("Authorization"); authorization != "" && !b.open() {
		return b.token(authorization)
	}
	if cookies || r.Method == http.MethodGet || r.Method == http.MethodHead {
		if c, ok := b.session(r, time.Now()); ok {
			return c, nil
		}
	}
	if c, ok := b.proxy.caller(r); ok {
		return c, nil
	}
	if b.open() {
		return anonymous, nil
	}
	return caller{}, errNoToken
}

// ingest checks OTLP requests.
func (b *bearers) ingest(authorization string) error {
	c, err := b.token(authorization)
	if err == nil && !c.may(config.AccessIngest) {
		err = errAccess
	}
	return err
}

type callerKey struct{}

// Allowed reports whether the request of ctx may do what access says. Handlers
// that serve reads and actions under one route ask it before an action.
func Allowed(ctx context.Context, access Access) bool {
	c, ok := ctx.Value(callerKey{}).(caller)
	return ok && c.may(string(access))
}

// Caller names who made the request of ctx, "" where nothing asked.
func Caller(ctx context.Context) string {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.name
}

// guard lets a request through to the route's handler when it has access.
func (b *bearers) guard(route Route) http.Handler {
	access := route.Access
	if access == "" {
		access = AccessRead
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := b.who(r, route.Cookies)
		if err == nil && access != AccessNone && !c.may(string(access)) {
			if err = errAccess; b.open() {
				err = errNoToken
			}
		}
		if err != nil && access != AccessNone {
			if route.Denied != nil {
				route.Denied.ServeHTTP(w, r)
				return
			}
			code := http.StatusUnauthorized
			if errors.Is(err, errAccess) {
				code = http.StatusForbidden
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead"`)
			http.Error(w, err.Error(), code)
			return
		}
		route.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
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
