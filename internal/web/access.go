package web

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const themeCookie = "fairlead_theme"

type loginData struct {
	Next   string
	Failed bool
}

func (s *site) loginPage(r *http.Request, p *page) error {
	p.Name, p.Title = "login", "Sign in"
	p.Data = loginData{Next: localPath(r.URL.Query().Get("next"))}
	return nil
}

// denied stands in for a page that needs a token.
func (s *site) denied(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path == "/live" {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, base(r)+"/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther) //nolint:gosec // base is a checked prefix
}

// login makes a session of a token. A wrong one costs a moment, which a person
// does not notice.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.PostFormValue("next"))
	token := strings.TrimSpace(r.PostFormValue("token"))
	if s.o.Access != nil {
		if value, ok := s.o.Access.Session(token, s.o.Now()); ok {
			http.SetCookie(w, s.cookie(r, SessionCookie, value, SessionAge, http.SameSiteStrictMode))
			http.Redirect(w, r, base(r)+next, http.StatusSeeOther) //nolint:gosec // next is a path of this server
			return
		}
	}
	select {
	case <-time.After(500 * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	p, err := s.begin(r)
	if err != nil {
		s.fail(w, r, p, err)
		return
	}
	p.Name, p.Title, p.Data = "login", "Sign in", loginData{Next: next, Failed: true}
	s.write(w, r, http.StatusForbidden, p)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(r, SessionCookie, "", -time.Second, http.SameSiteStrictMode))
	http.Redirect(w, r, base(r)+"/login", http.StatusSeeOther) //nolint:gosec // base is a checked prefix
}

// theme keeps which colours a browser wants: the next of system, light, dark.
func (s *site) theme(w http.ResponseWriter, r *http.Request) {
	value := r.PostFormValue("theme")
	age := 365 * 24 * time.Hour
	if value != "light" && value != "dark" {
		value, age = "", -time.Second
	}
	http.SetCookie(w, s.cookie(r, themeCookie, value, age, http.SameSiteLaxMode))
	http.Redirect(w, r, base(r)+localPath(r.PostFormValue("next")), http.StatusSeeOther) //nolint:gosec // localPath lets only paths of this server through
}

func (s *site) cookie(r *http.Request, name, value string, age time.Duration, same http.SameSite) *http.Cookie {
	path := base(r)
	if path == "" {
		path = "/"
	}
	return &http.Cookie{ //nolint:gosec // Secure where the page came over TLS; loopback has none
		Name: name, Value: value, Path: path, MaxAge: int(age.Seconds()), HttpOnly: true, SameSite: same,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// localPath is next if it is a path on this server, else the first page: a link
// must not lead elsewhere through a login.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

// NextTheme is the theme that the button changes to.
func (p *page) NextTheme() string {
	return map[string]string{"": "dark", "dark": "light", "light": "system"}[p.Theme]
}

// Here is this page's path with its query, without the base.
func (p *page) Here() string { return strings.TrimPrefix(p.With("", ""), p.Base) }

// formTokenFits reports whether the form came from a page of this session.
func (s *site) formTokenFits(r *http.Request) bool {
	want := s.o.Access.FormToken(r)
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(r.PostFormValue("form_token"))) == 1
}
