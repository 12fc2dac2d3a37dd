package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var staticFiles embed.FS

type asset struct {
	body, zipped []byte
	etag, mime   string
}

// loadAssets reads and compresses the assets once.
var loadAssets = sync.OnceValue(func() map[string]asset {
	out := map[string]asset{}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return out
	}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil || e.IsDir() {
			continue
		}
		sum := sha256.Sum256(body)
		a := asset{body: body, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, mime: mime.TypeByExtension(path.Ext(e.Name()))}
		if strings.HasSuffix(e.Name(), ".woff2") {
			a.mime = "font/woff2" // compressed already
		} else {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(body) // into memory
			_ = w.Close()
			a.zipped = z.Bytes()
		}
		out[e.Name()] = a
	}
	return out
})

// Asset is the path of an asset with its content in it, so that browsers may
// keep it for ever.
func (p *page) Asset(name string) string {
	return p.Base + "/static/" + name + "?" + strings.Trim(loadAssets()[name].etag, `"`)
}

func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := loadAssets()[strings.TrimPrefix(r.URL.Path, "/static/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.mime)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("ETag", a.etag)
		h.Set("Vary", "Accept-Encoding")
		if r.Header.Get("If-None-Match") == a.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := a.body
		if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = a.zipped
		}
		_, _ = w.Write(body) // the browser has gone: nobody is left to tell
	})
}
