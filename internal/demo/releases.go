package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/kube"
)

//go:embed chart
var chart embed.FS

const (
	releaseName = "shop"
	// anyImage is there for clusters that have no image of this program; nobody
	// has noImage.
	anyImage = "registry.k8s.io/pause:3.10"
	noImage  = "registry.k8s.io/pause-no-such-image:1"
	// upgradeTimeout is Helm's patience with the upgrade that fails: long enough
	// for a second crash, which tells a crash loop from an accident.
	upgradeTimeout = "15s"
	// interruptGrace is how long Helm may take to end after an interrupt.
	interruptGrace = 30 * time.Second
	removalTimeout = 90 * time.Second
)

// ErrNoCluster says that there is no cluster or no helm to use.
var ErrNoCluster = errors.New("no cluster for the Helm half")

// ReleasesOptions say how the Helm half runs. Helm's settings (KUBECONFIG,
// FAIRLEAD_HELM_BIN) and where telemetry goes (OTEL_*) come from the environment.
type ReleasesOptions struct {
	Self string // this program
	// Image is an image of this program that the cluster can pull; "" uses one
	// that every cluster can, which has less to tell.
	Image string
	// Socket takes telemetry in place of OTEL_EXPORTER_OTLP_ENDPOINT: where this
	// process has another network than the server. "" is none.
	Socket string
	Began  time.Time // of the story; zero is now
	Out    io.Writer
	Color  bool
}

// Releases tells the Helm half on the cluster of KUBECONFIG: an install and an
// upgrade that go well, an upgrade that fails and is rolled back, all through
// `fairlead helm`. It works in a namespace of its own, returns its name, and
// removes it in any case.
func Releases(ctx context.Context, o ReleasesOptions) (namespace string, err error) {
	r := &releases{options: o, story: &story{out: o.Out, color: o.Color, began: o.Began}}
	if o.Began.IsZero() {
		r.story.began = time.Now()
	}
	if o.Socket != "" {
		at, stop, err := relay(ctx, address{"tcp", "127.0.0.1:0"}, address{"unix", o.Socket})
		if err != nil {
			return "", err
		}
		defer stop()
		if err := os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+at.String()); err != nil {
			return "", err
		}
	}
	if err := r.open(ctx); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.namespace, r.tell(ctx)
}

type releases struct {
	options   ReleasesOptions
	story     *story
	api       kubernetes.Interface
	namespace string
	dir       string // of the chart
}

func (r *releases) open(ctx context.Context) error {
	// The test bed brings its own.
	if path := os.Getenv("FAIRLEAD_TEST_HELM4"); path != "" && os.Getenv(helm.EnvBin) == "" {
		if err := os.Setenv(helm.EnvBin, path); err != nil {
			return err
		}
	}
	if _, err := helm.Find(helm.FindOptions{}); err != nil {
		return fmt.Errorf("%w: %w", ErrNoCluster, err)
	}
	client, err := kube.NewClient(kube.ClientOptions{UserAgent: "fairlead-demo"})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoCluster, err)
	}
	if r.api, err = kubernetes.NewForConfig(client.Config()); err != nil {
		return fmt.Errorf("%w: %w", ErrNoCluster, err)
	}
	made, err := r.api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "fairlead-demo-",
		Labels:       map[string]string{"app.kubernetes.io/managed-by": "fairlead-demo", "pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("%w: make a namespace in %s: %w", ErrNoCluster, client.Config().Host, err)
	}
	r.namespace = made.Name
	r.story.line("cluster", "%s, in namespace %s, which is removed at the end", client.Config().Host, r.namespace)
	if r.dir, err = os.MkdirTemp("", "fairlead-demo-chart-"); err == nil {
		err = writeChart(filepath.Join(r.dir, releaseName))
	}
	if err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

func writeChart(dir string) error {
	files, err := fs.Sub(chart, "chart")
	if err != nil {
		return err
	}
	return os.CopyFS(dir, files)
}

func (r *releases) tell(ctx context.Context) error {
	base := []string{"--set", "image=" + r.options.Image}
	// In a file, since the values of --set are kept out of all that is told.
	bad := []string{"-f", "./" + releaseName + "/1.2.0.yaml"}
	if r.options.Image == "" {
		base = []string{"--set", "shop=false,image=" + anyImage}
		bad = []string{"--set", "version=1.2.0,image=" + noImage}
	}
	good := []string{"--set", "version=1.1.0"}
	if err := r.deploy(ctx, "installed", slices.Concat([]string{"install"}, base, []string{"--timeout", "2m"})); err != nil {
		return err
	}
	if err := r.deploy(ctx, "upgraded", slices.Concat([]string{"upgrade"}, base, good, []string{"--timeout", "2m"})); err != nil {
		return err
	}
	err := r.deploy(ctx, "", slices.Concat([]string{"upgrade"}, base, bad, []string{"--timeout", upgradeTimeout}), "--auto-rollback")
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return fmt.Errorf("%w: the upgrade to 1.2.0 should fail and did not", ErrUnexpected)
	case !errors.As(err, &exit):
		return err
	}
	r.story.line("ROLLED BACK", "helm returned %d, as without fairlead; revision 2 runs again as revision 4", exit.ExitCode())
	return r.helm(ctx, nil, "uninstall", releaseName, "--namespace", r.namespace, "--wait", "--timeout", "60s")
}

// deploy runs an install or upgrade of the chart and says what was typed; done
// is the word when it went well.
func (r *releases) deploy(ctx context.Context, done string, args []string, flags ...string) error {
	typed := slices.Concat([]string{"fairlead"}, flags, []string{"helm", args[0], releaseName, "./" + releaseName, "--wait"}, args[1:])
	r.story.line("$", "%s", strings.Join(typed, " "))
	full := slices.Concat(args[:1], []string{releaseName, "./" + releaseName, "--namespace", r.namespace, "--wait"}, args[1:])
	for i, a := range full {
		if strings.HasPrefix(a, "./") { // a file of the chart, as it was typed
			full[i] = filepath.Join(r.dir, a)
		}
	}
	began := time.Now()
	if err := r.helm(ctx, flags, full...); err != nil || done == "" {
		return err
	}
	r.story.line(done, "%s, after %.1f s", releaseName, time.Since(began).Seconds())
	return nil
}

// helm runs `fairlead FLAGS helm ARGS` as a user would, and tells what it says
// on standard error. The error is an *exec.ExitError when Helm failed.
func (r *releases) helm(ctx context.Context, flags []string, args ...string) error {
	cmd := exec.CommandContext(ctx, r.options.Self, slices.Concat(flags, []string{"helm"}, args)...)
	cmd.Env = helmEnviron()
	said := &lines{each: func(text string) { r.story.more("%s", text) }}
	cmd.Stderr = said
	cmd.Cancel = func() error {
		if runtime.GOOS == "windows" {
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	cmd.WaitDelay = interruptGrace
	err := cmd.Run()
	said.flush()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// helmEnviron is this environment without what would change what fairlead does.
func helmEnviron() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "TRACEPARENT" || name == "TRACESTATE" ||
			strings.HasPrefix(name, "FAIRLEAD_") && name != helm.EnvBin && !strings.HasPrefix(name, "FAIRLEAD_TEST_")
	})
	return append(env, "FAIRLEAD_SUMMARY=off", "FAIRLEAD_PROGRESS=plain")
}

// close removes the namespace, and waits until it is gone.
func (r *releases) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removalTimeout)
	defer cancel()
	errs := []error{os.RemoveAll(r.dir)}
	namespaces := r.api.CoreV1().Namespaces()
	err := namespaces.Delete(ctx, r.namespace, metav1.DeleteOptions{})
	for err == nil {
		if err = sleep(ctx, 200*time.Millisecond); err == nil {
			_, err = namespaces.Get(ctx, r.namespace, metav1.GetOptions{})
		}
	}
	if !apierrors.IsNotFound(err) {
		errs = append(errs, fmt.Errorf("remove namespace %s: %w\nhint: kubectl delete namespace %s", r.namespace, err, r.namespace))
	} else {
		r.story.line("gone", "the release and namespace %s; their record stays", r.namespace)
	}
	return errors.Join(errs...)
}

// lines passes on whole lines.
type lines struct {
	each func(string)
	rest []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		l.each(string(line))
		l.rest = rest
	}
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.each(string(l.rest))
		l.rest = nil
	}
}
