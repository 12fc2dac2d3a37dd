// Command image makes a container image of static binaries, from scratch and
// without a container engine: an archive that docker, podman, ctr and kind load,
// or a push to a registry, with one entry for each architecture.
//
//	go run . -tag REGISTRY/fairlead:VERSION -o image.tar linux/amd64=PATH
//	go run . -tag REGISTRY/fairlead:VERSION -push linux/amd64=PATH linux/arm64=PATH
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	binaryPath = "usr/local/bin/fairlead"
	user       = "65532:65532"
)

type options struct {
	tag, out string
	push     bool
	created  time.Time
	labels   map[string]string
	binaries []binary
}

// binary is a static program for a platform.
type binary struct {
	platform v1.Platform
	path     string
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(o.tag)
	if err != nil {
		return fmt.Errorf("-tag: %w", err)
	}
	var images []v1.Image
	for _, b := range o.binaries {
		img, err := build(o, b)
		if err != nil {
			return fmt.Errorf("%s=%s: %w", b.platform, b.path, err)
		}
		images = append(images, img)
	}
	if o.out != "" {
		if err := tarball.WriteToFile(o.out, reference, images[0]); err != nil {
			return fmt.Errorf("write %s: %w", o.out, err)
		}
		fmt.Fprintln(out, o.out)
	}
	if !o.push {
		return nil
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, img := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &o.binaries[i].platform}})
	}
	if err := remote.WriteIndex(reference, index, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s@%s\n", reference.Context(), digest)
	return nil
}

func parse(args []string) (options, error) {
	var o options
	var created int64
	var version, revision string
	fs := flag.NewFlagSet("image", flag.ContinueOnError)
	fs.StringVar(&o.tag, "tag", "", "name of the image, with its tag")
	fs.StringVar(&o.out, "o", "", "write an archive to this file; for one platform")
	fs.BoolVar(&o.push, "push", false, "push to the registry that -tag names, with the credentials of docker login")
	fs.Int64Var(&created, "created", 0, "when it was made, in seconds of Unix time")
	fs.StringVar(&version, "version", "", "label org.opencontainers.image.version")
	fs.StringVar(&revision, "revision", "", "label org.opencontainers.image.revision")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.created = time.Unix(created, 0).UTC()
	o.labels = map[string]string{
		"org.opencontainers.image.title": "fairlead", "org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version": version, "org.opencontainers.image.revision": revision,
	}
	for _, arg := range fs.Args() {
		platform, path, found := strings.Cut(arg, "=")
		p, err := v1.ParsePlatform(platform)
		if !found || err != nil || p.OS == "" || p.Architecture == "" {
			return o, fmt.Errorf("%q: want OS/ARCH=PATH, as linux/amd64=bin/fairlead", arg)
		}
		o.binaries = append(o.binaries, binary{*p, path})
	}
	switch {
	case o.tag == "":
		return o, errors.New("-tag: name the image, as registry.example.com/fairlead:0.1.0")
	case len(o.binaries) == 0:
		return o, errors.New("no binary: want OS/ARCH=PATH, as linux/amd64=bin/fairlead")
	case o.out == "" && !o.push:
		return o, errors.New("nothing to do: give -o FILE or -push")
	case o.out != "" && len(o.binaries) > 1:
		return o, errors.New("-o holds one platform; push several")
	}
	return o, nil
}

// build is the image: the binary in a layer of its own, run as nobody in particular.
func build(o options, b binary) (v1.Image, error) {
	content, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(content, o.created)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant = b.platform.OS, b.platform.Architecture, b.platform.Variant
	file.Created = v1.Time{Time: o.created}
	file.Config = v1.Config{
		Entrypoint: []string{"/" + binaryPath}, User: user, Labels: o.labels,
		Env:          []string{"PATH=/usr/local/bin"},
		ExposedPorts: map[string]struct{}{"8484/tcp": {}, "4317/tcp": {}, "4318/tcp": {}},
	}
	return mutate.ConfigFile(img, file)
}

func layerOf(content []byte, created time.Time) (v1.Layer, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/"} {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: created}); err != nil {
			return nil, err
		}
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: binaryPath, Mode: 0o755, Size: int64(len(content)), ModTime: created}); err != nil {
		return nil, err
	}
	if _, err := t.Write(content); err != nil {
		return nil, err
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}
