package artifact

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"fairlead.dev/fairlead/test/cluster/internal/image"
)

// Set is everything that a cluster and its tests need.
type Set struct {
	Components string      // directory of etcd, kube-apiserver, ..., kubectl
	Helm3      string      // path of the binary
	Helm4      string      // path of the binary
	Images     image.Store // pause, app, CoreDNS, Traefik
	CRDs       string      // YAML file, Gateway API's standard channel
}

// Names of the add-ons' images.
var (
	PauseImage   = image.Reference{Repository: "pause", Tag: "1"}
	CoreDNSImage = image.Reference{Repository: "coredns", Tag: CoreDNSVersion}
	TraefikImage = image.Reference{Repository: "traefik", Tag: TraefikVersion}
)

// AppVersions are the tags of the test application's image; each has its tag
// in the environment variable VERSION.
var AppVersions = []string{"v1", "v2", "v3"}

// Build builds what is not in the cache yet.
func (c Cache) Build(ctx context.Context) (Set, error) {
	hyper, err := c.buildBinary(ctx, hyperkube())
	if err != nil {
		return Set{}, err
	}
	s := Set{Components: filepath.Dir(hyper)}
	if s.Helm3, err = c.Helm(ctx, "3"); err != nil {
		return Set{}, err
	}
	if s.Helm4, err = c.Helm(ctx, "4"); err != nil {
		return Set{}, err
	}
	if s.Images, err = c.images(ctx); err != nil {
		return Set{}, err
	}
	s.CRDs, err = c.crds(ctx)
	return s, err
}

// Helm builds one Helm and returns its path; major is "3" or "4".
func (c Cache) Helm(ctx context.Context, major string) (string, error) {
	versions := map[string]string{"3": Helm3Version, "4": Helm4Version}
	version, ok := versions[major]
	if !ok {
		return "", fmt.Errorf("helm %q: want 3 or 4", major)
	}
	return c.buildBinary(ctx, helm(major, version))
}

// images builds the store of the images that every cluster has.
func (c Cache) images(ctx context.Context) (image.Store, error) {
	type content struct {
		reference image.Reference
		name      string
		spec      image.Spec
	}
	var contents []content
	var words []string
	add := func(b binary, r image.Reference, env ...string) error {
		path, err := c.buildBinary(ctx, b)
		contents = append(contents, content{r, b.name, image.Spec{Binary: path, Env: env}})
		words = append(words, r.String(), path)
		return err
	}
	for _, err := range []error{
		add(own("pause"), PauseImage),
		add(coredns(), CoreDNSImage),
		add(traefik(), TraefikImage),
	} {
		if err != nil {
			return "", err
		}
	}
	for _, v := range AppVersions {
		if err := add(own("app"), image.Reference{Repository: "app", Tag: v}, "VERSION="+v); err != nil {
			return "", err
		}
	}
	key, err := c.key(words, "internal/image")
	if err != nil {
		return "", err
	}
	dir, err := c.ensure(ctx, "images", key, "from scratch", func(dir string) error {
		for _, i := range contents {
			if err := image.Store(dir).Write(i.reference, i.name, i.spec); err != nil {
				return err
			}
		}
		return nil
	})
	return image.Store(dir), err
}

const gatewayModule = "sigs.k8s.io/gateway-api"

// crds copies the custom resource definitions out of the Gateway API's module.
func (c Cache) crds(ctx context.Context) (string, error) {
	key, err := c.key([]string{gatewayModule}, "go.mod", "go.sum")
	if err != nil {
		return "", err
	}
	const name = "standard.yaml"
	dir, err := c.ensure(ctx, "gateway-api", key, "custom resource definitions", func(dir string) error {
		if err := c.run(ctx, nil, "go", "mod", "download", gatewayModule); err != nil {
			return err
		}
		list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", gatewayModule)
		list.Dir = c.Source
		list.Env = append(os.Environ(), "GOWORK=off")
		out, err := list.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", list, err)
		}
		files, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(out)), "config", "crd", "standard", "*.yaml"))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("%s has no config/crd/standard/*.yaml", gatewayModule)
		}
		var all bytes.Buffer
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, "---\n%s\n", b)
		}
		return os.WriteFile(filepath.Join(dir, name), all.Bytes(), 0o644)
	})
	return filepath.Join(dir, name), err
}
