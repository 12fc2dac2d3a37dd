// Package image makes OCI images FROM scratch out of static binaries and
// keeps them in directories. Start with Store.Write; Store.WriteTar exports an
// image for other clusters.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// ErrNotFound is returned for a reference or digest that a Store does not have.
var ErrNotFound = errors.New("no such image")

// Store is a directory of images: blobs/sha256/HEX holds manifests,
// configurations and layers, refs/REPOSITORY/TAG the digest of a manifest.
// Several processes may read and write it at once.
type Store string

// Blob is a stored piece of content.
type Blob struct {
	Digest string // "sha256:HEX"
	Size   int64  // bytes
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Open opens the blob of a digest for reading; the error is ErrNotFound when
// the store has none or the digest is malformed.
func (s Store) Open(digest string) (*os.File, error) {
	if !digestPattern.MatchString(digest) {
		return nil, fmt.Errorf("digest %q: %w", digest, ErrNotFound)
	}
	f, err := os.Open(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("digest %s: %w", digest, ErrNotFound)
	}
	return f, err
}

// Resolve returns the digest of a reference's manifest, or ErrNotFound.
func (s Store) Resolve(r Reference) (string, error) {
	b, err := os.ReadFile(s.refPath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", r, ErrNotFound)
	}
	return string(b), err
}

func (s Store) blobPath(digest string) string {
	return filepath.Join(string(s), "blobs", "sha256", digest[len("sha256:"):])
}

func (s Store) refPath(r Reference) string {
	return filepath.Join(string(s), "refs", filepath.FromSlash(r.Repository), r.Tag)
}

// put stores what write produces and returns its digest and size.
func (s Store) put(write func(io.Writer) error) (Blob, error) {
	dir := filepath.Join(string(s), "blobs", "sha256")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Blob{}, err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return Blob{}, err
	}
	defer os.Remove(f.Name()) // already renamed when all went well
	w := &digester{to: f, hash: sha256.New()}
	if err := errors.Join(write(w), f.Chmod(0o644), f.Close()); err != nil {
		return Blob{}, err
	}
	b := Blob{Digest: "sha256:" + hex.EncodeToString(w.hash.Sum(nil)), Size: w.size}
	return b, os.Rename(f.Name(), s.blobPath(b.Digest))
}

// tag points a reference at a manifest.
func (s Store) tag(r Reference, digest string) error {
	path := s.refPath(r)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(digest)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type digester struct {
	to   io.Writer
	hash hash.Hash
	size int64
}

func (d *digester) Write(p []byte) (int, error) {
	n, err := d.to.Write(p)
	d.hash.Write(p[:n])
	d.size += int64(n)
	return n, err
}
