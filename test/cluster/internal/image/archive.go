package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
)

// WriteTar writes one image as an OCI layout archive, which "ctr images
// import", "kind load image-archive", "skopeo copy oci-archive:" and others
// take. It is the way to bring an image of the test bed to another cluster.
func (s Store) WriteTar(w io.Writer, r Reference) error {
	digest, err := s.Resolve(r)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	size, content, err := s.addBlob(t, digest)
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", digest, err)
	}
	for _, d := range append(m.Layers, m.Config) {
		if _, _, err := s.addBlob(t, d.Digest); err != nil {
			return err
		}
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     TypeIndex,
		"manifests": []descriptor{{
			MediaType: TypeManifest, Digest: digest, Size: size,
			Annotations: map[string]string{
				"io.containerd.image.name":          r.String(),
				"org.opencontainers.image.ref.name": r.Tag,
			},
		}},
	})
	if err != nil {
		return err
	}
	if err := addFile(t, "index.json", index); err != nil {
		return err
	}
	if err := addFile(t, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return t.Close()
}

// maxManifest bounds what addBlob reads back: the test bed's manifests have
// one layer and are below 1 KiB.
const maxManifest = 64 << 10

// addBlob copies a blob into the archive; a small one's content is returned.
func (s Store) addBlob(t *tar.Writer, digest string) (size int64, content []byte, err error) {
	f, err := s.Open(digest)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	name := "blobs/sha256/" + digest[len("sha256:"):]
	if info.Size() <= maxManifest {
		content, err = io.ReadAll(f)
		if err != nil {
			return 0, nil, err
		}
		return int64(len(content)), content, addFile(t, name, content)
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
		return 0, nil, err
	}
	_, err = io.Copy(t, f)
	return info.Size(), nil, err
}

func addFile(t *tar.Writer, name string, content []byte) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}
