package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/web"
)

// A session is "NAME.EXPIRY.MAC": the token's name, when it ends, and a MAC
// under the token's hash. So no session is kept here, none outlives its token,
// and a restart ends none.

func mac(key []byte, text string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

// Session makes the value of a session cookie from a token that may read.
func (b *bearers) Session(token string, now time.Time) (string, bool) {
	found, ok := b.find(token)
	if !ok || !slices.Contains(found.access, config.AccessRead) {
		return "", false
	}
	body := base64.RawURLEncoding.EncodeToString([]byte(found.name)) + "." + strconv.FormatInt(now.Add(web.SessionAge).Unix(), 10)
	return body + "." + mac(found.hash[:], "session "+body), true
}

// session returns whose session the request carries.
func (b *bearers) session(r *http.Request, now time.Time) (caller, bool) {
	found, ok := b.sessionToken(r, now)
	return caller{found.name, found.access}, ok
}

func (b *bearers) sessionToken(r *http.Request, now time.Time) (bearer, bool) {
	cookie, err := r.Cookie(web.SessionCookie)
	if err != nil {
		return bearer{}, false
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 3 {
		return bearer{}, false
	}
	name, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return bearer{}, false
	}
	ends, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || now.Unix() >= ends {
		return bearer{}, false
	}
	for _, t := range b.tokens {
		if t.name == string(name) && hmac.Equal([]byte(parts[2]), []byte(mac(t.hash[:], "session "+parts[0]+"."+parts[1]))) {
			return t, true
		}
	}
	return bearer{}, false
}

// User names who asks; "" = nobody in particular.
func (b *bearers) User(ctx context.Context) string {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.name
}

// MayWrite reports whether the request may act.
func (b *bearers) MayWrite(ctx context.Context) bool { return Allowed(ctx, AccessWrite) }

// FormToken is what forms of this session carry to prove that they are its own.
func (b *bearers) FormToken(r *http.Request) string {
	if t, ok := b.sessionToken(r, time.Now()); ok {
		cookie, _ := r.Cookie(web.SessionCookie) // it is there: it holds the session
		return mac(t.hash[:], "form "+cookie.Value)
	}
	if name := b.User(r.Context()); name != "" {
		return mac(b.formKey, "form "+name)
	}
	return ""
}

// Needed reports whether reading takes a token here.
func (b *bearers) Needed() bool { return len(b.tokens) > 0 }

// proxyTrust takes the word of a proxy in front for who somebody is.
type proxyTrust struct {
	config.AuthProxy
	from []netip.Prefix
}

func newProxyTrust(c *config.AuthProxy) *proxyTrust {
	if c == nil {
		return nil
	}
	p := &proxyTrust{AuthProxy: *c}
	for _, text := range c.From {
		if prefix, err := netip.ParsePrefix(text); err == nil { // validated
			p.from = append(p.from, prefix.Masked())
		}
	}
	return p
}

// caller returns who the proxy says that it is; false for a request that did
// not come from the proxy, or that names nobody.
func (p *proxyTrust) caller(r *http.Request) (caller, bool) {
	if p == nil {
		return caller{}, false
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return caller{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !slices.ContainsFunc(p.from, func(x netip.Prefix) bool { return x.Contains(addr.Unmap()) }) {
		return caller{}, false
	}
	user := r.Header.Get(p.UserHeader)
	if user == "" {
		return caller{}, false
	}
	c := caller{name: user, access: []string{config.AccessRead}}
	for _, header := range r.Header.Values(p.GroupsHeader) {
		for group := range strings.SplitSeq(header, ",") {
			if slices.Contains(p.WriteGroups, strings.TrimSpace(group)) {
				c.access = []string{config.AccessRead, config.AccessWrite}
			}
		}
	}
	return c, true
}

// withBase serves everything below base, whether a proxy in front cuts it off
// or not.
func withBase(base string, next http.Handler) http.Handler {
	if base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = web.WithBase(r, base)
		if r.URL.Path == base {
			http.Redirect(w, r, base+"/", http.StatusMovedPermanently)
			return
		}
		if strings.HasPrefix(r.URL.Path, base+"/") {
			http.StripPrefix(base, next).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
