// Package registry serves images to the container runtime: the pull half of
// the OCI distribution specification, read only, over plain HTTP. Some
// repository names misbehave on purpose, so that tests see real slow, denied
// and failing pulls.
package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"fairlead.dev/fairlead/test/cluster/internal/image"
)

// maxDelay bounds what a "slow-DURATION/" name may ask for.
const maxDelay = 2 * time.Minute

// path splits /v2/REPOSITORY/(manifests|blobs)/REFERENCE.
var pathPattern = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

// Registry is an http.Handler over image stores. The first path element of a
// repository may be one of these; the rest names the image that is served:
//
//	slow-3s/app   the manifest comes after 3 seconds
//	denied/app    401, as for a private image without credentials
//	broken/app    500, as from a registry that is down
type Registry struct {
	stores []image.Store
}

// New returns a registry that looks in the stores in this order.
func New(stores ...image.Store) *Registry { return &Registry{stores: stores} }

// ServeHTTP answers GET and HEAD.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read only")
		return
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		return
	}
	parts := pathPattern.FindStringSubmatch(r.URL.Path)
	if parts == nil {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path")
		return
	}
	repository, kind, reference := parts[1], parts[2], parts[3]
	repository, ok := misbehave(w, r, repository, kind)
	if !ok {
		return
	}
	if kind == "blobs" {
		g.serve(w, r, reference, "application/octet-stream")
		return
	}
	digest := reference
	if !strings.HasPrefix(reference, "sha256:") {
		var err error
		digest, err = g.resolve(image.Reference{Repository: repository, Tag: reference})
		if err != nil {
			answer(w, err, "MANIFEST_UNKNOWN")
			return
		}
	}
	g.serve(w, r, digest, image.TypeManifest)
}

// misbehave does what the repository's prefix asks for. It returns the name
// without the prefix, and false when the request is answered.
func misbehave(w http.ResponseWriter, r *http.Request, repository, kind string) (string, bool) {
	prefix, rest, found := strings.Cut(repository, "/")
	if !found {
		return repository, true
	}
	switch {
	case prefix == "denied":
		w.Header().Set("WWW-Authenticate", `Basic realm="`+image.Host+`"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return "", false
	case prefix == "broken":
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "this repository is broken on purpose")
		return "", false
	case strings.HasPrefix(prefix, "slow-"):
		delay, err := time.ParseDuration(strings.TrimPrefix(prefix, "slow-"))
		if err != nil {
			return repository, true
		}
		// Once a pull: the runtime asks by HEAD first, and blobs that it
		// already has are not asked for at all.
		if kind == "manifests" && r.Method == http.MethodHead {
			select {
			case <-time.After(min(delay, maxDelay)):
			case <-r.Context().Done():
			}
		}
		return rest, true
	}
	return repository, true
}

func (g *Registry) resolve(r image.Reference) (string, error) {
	if _, err := image.ParseReference(r.String()); err != nil {
		return "", errors.Join(err, image.ErrNotFound)
	}
	for _, s := range g.stores {
		digest, err := s.Resolve(r)
		if !errors.Is(err, image.ErrNotFound) {
			return digest, err
		}
	}
	return "", image.ErrNotFound
}

func (g *Registry) serve(w http.ResponseWriter, r *http.Request, digest, contentType string) {
	for _, s := range g.stores {
		f, err := s.Open(digest)
		if errors.Is(err, image.ErrNotFound) {
			continue
		}
		if err != nil {
			answer(w, err, "BLOB_UNKNOWN")
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("ETag", `"`+digest+`"`)
		http.ServeContent(w, r, "", time.Time{}, f)
		return
	}
	answer(w, image.ErrNotFound, "BLOB_UNKNOWN")
}

func answer(w http.ResponseWriter, err error, code string) {
	if errors.Is(err, image.ErrNotFound) {
		refuse(w, http.StatusNotFound, code, "not found")
		return
	}
	refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
}

// refuse writes an error in the distribution specification's form.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// The client that went away gets no answer; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(map[string][]item{"errors": {{Code: code, Message: message}}})
}
