package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/store/operations"
	"fairlead.dev/fairlead/internal/store/rollouts"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page is what every template gets; Data is the page's own.
type page struct {
	Title string
	Name  string // of the template, and of the entry in the navigation
	Base  string // path prefix of all links, "" or "/prefix"
	Path  string // of this page, without Base
	Theme string // light, dark or "" = as the system has it
	Live  string // topics that the page follows, "" = none

	Filter     filter
	Clusters   []string
	Namespaces []string

	User      string
	MayWrite  bool
	FormToken string
	HasLogin  bool
	Firing    int // alerts
	Now       time.Time
	Version   string
	Data      any
}

// pageFunc fills the page; the error is shown in its place.
type pageFunc func(r *http.Request, p *page) error

// statusError is an error with the status and the words to show for it.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

// WithStatus gives an error the HTTP status under which its text is shown.
func WithStatus(status int, err error) error { return statusError{status, err.Error()} }

func notFound(format string, args ...any) error {
	return statusError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func (s *site) page(f pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := s.begin(r)
		if err == nil {
			err = f(r, p)
		}
		if err != nil {
			s.fail(w, r, p, err)
			return
		}
		s.write(w, r, http.StatusOK, p)
	})
}

// begin is the page without its own content.
func (s *site) begin(r *http.Request) (*page, error) {
	p := &page{Base: base(r), Path: r.URL.Path, Theme: theme(r), Now: s.o.Now(), Version: s.o.Version}
	if a := s.o.Access; a != nil {
		p.User, p.MayWrite, p.FormToken, p.HasLogin = a.User(r.Context()), a.MayWrite(r.Context()), a.FormToken(r), a.Needed()
	}
	var err error
	if p.Filter, err = readFilter(r.URL.Query(), p.Now); err != nil {
		return p, err
	}
	return p, nil
}

// places fills what the filter offers and what the frame of a page shows.
// Pages that need no access leave it out.
func (s *site) places(ctx context.Context, p *page) (err error) {
	p.Clusters, p.Namespaces, err = s.o.Index.Places(ctx)
	if err == nil && s.o.Alerts != nil {
		if st, err := s.o.Alerts.Overview(ctx); err == nil {
			p.Firing = firing(st)
		}
	}
	return err
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, p *page, err error) {
	status, text := http.StatusInternalServerError, err.Error()
	var known statusError
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.Is(err, operations.ErrNotFound), errors.Is(err, rollouts.ErrNotFound):
		status = http.StatusNotFound
	case r.Context().Err() != nil:
		return // nobody waits for it
	default:
		s.o.Logger.Error("page", "path", r.URL.Path, "error", err)
	}
	p.Name, p.Title, p.Live = "error", http.StatusText(status), ""
	p.Data = struct {
		Status int
		Text   string
	}{status, text}
	s.write(w, r, status, p)
}

// write renders into a buffer first, so that a template that fails never leaves
// half a page.
func (s *site) write(w http.ResponseWriter, r *http.Request, status int, p *page) {
	var b bytes.Buffer
	if err := templates[p.Name].ExecuteTemplate(&b, "layout", p); err != nil {
		s.o.Logger.Error("render page", "page", p.Name, "error", err)
		http.Error(w, "the page could not be drawn; the server's log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, Cookie")
	writeCompressed(w, r, status, b.Bytes())
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is one
	return w
}}

func writeCompressed(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || len(body) < 1024 {
		w.WriteHeader(status)
		_, _ = w.Write(body) // the browser has gone: nobody is left to tell
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(w)
	_, _ = z.Write(body)
	_ = z.Close()
}

var prefixPattern = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

type baseKey struct{}

// WithBase tells the pages of a request below which path they are served.
func WithBase(r *http.Request, base string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), baseKey{}, base))
}

// base returns the path below which the pages are served: as configured, or as
// the proxy in front says.
func base(r *http.Request) string {
	if b, ok := r.Context().Value(baseKey{}).(string); ok && b != "" {
		return b
	}
	if p := strings.TrimRight(r.Header.Get("X-Forwarded-Prefix"), "/"); prefixPattern.MatchString(p) && path.Clean(p) == p {
		return p
	}
	return ""
}

func theme(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || (c.Value != "light" && c.Value != "dark") {
		return ""
	}
	return c.Value
}

// URL is a link to another page that keeps cluster, namespace and range.
func (p *page) URL(to string) string {
	q := p.Filter.query()
	if len(q) == 0 {
		return p.Base + to
	}
	return p.Base + to + "?" + q.Encode()
}

// With is a link to this page with one parameter changed; "" removes it.
func (p *page) With(key, value string) string {
	q := p.Filter.all()
	if value == "" {
		q.Del(key)
	} else {
		q.Set(key, value)
	}
	if key != "page" {
		q.Del("page")
	}
	u := p.Base + (&url.URL{Path: p.Path}).EscapedPath()
	if len(q) == 0 {
		return u
	}
	return u + "?" + q.Encode()
}

// ReleaseURL is the page of a release.
func (p *page) ReleaseURL(cluster, namespace, name string) string {
	u := p.Base + "/releases/" + url.PathEscape(namespace) + "/" + url.PathEscape(name)
	q := url.Values{}
	if p.Filter.Range.Name != "" {
		q.Set("range", p.Filter.Range.Name)
	}
	if cluster != "" {
		q.Set("cluster", cluster)
	}
	if len(q) == 0 {
		return u
	}
	return u + "?" + q.Encode()
}

// DeploymentURL is the page of an operation.
func (p *page) DeploymentURL(id string) string { return p.Base + "/deployments/" + escapePath(id) }

// CanaryURL is the page of a rollout.
func (p *page) CanaryURL(id string) string { return p.Base + "/canaries/" + escapePath(id) }

func escapePath(id string) string {
	parts := strings.Split(id, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

var (
	templates    map[string]*template.Template
	templateOnce = sync.OnceValue(func() error {
		templates = map[string]*template.Template{}
		shared, err := template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
		if err != nil {
			return err
		}
		files, err := templateFiles.ReadDir("templates")
		if err != nil {
			return err
		}
		for _, f := range files {
			name := strings.TrimSuffix(f.Name(), ".html")
			if name == "layout" || name == "parts" {
				continue
			}
			clone, err := shared.Clone()
			if err != nil {
				return err
			}
			if templates[name], err = clone.ParseFS(templateFiles, "templates/"+f.Name()); err != nil {
				return err
			}
		}
		return nil
	})
)

func parseTemplates() error {
	if err := templateOnce(); err != nil {
		return fmt.Errorf("parse templates of the pages: %w", err)
	}
	return nil
}

func (s *site) unknown(r *http.Request, _ *page) error {
	return notFound("There is no page %s.", r.URL.Path)
}
