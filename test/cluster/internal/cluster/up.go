//go:build linux

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/fairlead/test/cluster/internal/artifact"
	"fairlead.dev/fairlead/test/cluster/internal/host"
	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

// Options are what Up may be told.
type Options struct {
	NoGateway bool              // without Traefik: 2 s faster, 150 MB less
	Audit     bool              // write an audit log of every API request
	KeepLogs  bool              // leave the state directory when the start fails
	Images    map[string]string // further images: reference, and the static binary it runs
	Log       io.Writer         // progress; nil for none
}

// Handle is a cluster that this process started and that ends with it unless
// Detach is called.
type Handle struct {
	Cluster

	keeper *exec.Cmd
	input  io.WriteCloser
	report *bytes.Buffer
	ended  chan struct{} // closed when the keeper is gone
}

// Up starts a cluster and waits until pods run, DNS answers and the gateway is
// programmed. The error names the component that ended and the last lines of
// its log; nothing is left behind then, unless Options.KeepLogs.
func Up(ctx context.Context, name string, set artifact.Set, o Options) (*Handle, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if err := checkDisk(os.TempDir(), o.Log); err != nil {
		return nil, err
	}
	if err := host.InstallPackages(ctx, o.Log); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what killed clusters left: %w", err)
	}
	r, err := newRequest(name, set, o)
	if err != nil {
		return nil, err
	}
	h, err := startKeeper(name, r)
	if err != nil {
		return nil, err
	}
	err = h.awaitReady(ctx, o.Log)
	for reference, binary := range o.Images {
		if err == nil {
			err = h.AddImage(reference, binary)
		}
	}
	if err == nil {
		return h, nil
	}
	if o.KeepLogs {
		_, keepErr := io.WriteString(h.input, wordKeep+"\n")
		err = errors.Join(fmt.Errorf("%w\nlogs are kept in %s", err, filepath.Join(stateDir(name), node.LogDir)), keepErr)
	}
	return nil, errors.Join(err, h.Down())
}

func newRequest(name string, set artifact.Set, o Options) (request, error) {
	cni, err := host.CNIDir()
	if err != nil {
		return request{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return request{}, err
	}
	snapshotter, err := snapshotter(os.TempDir())
	if err != nil {
		return request{}, err
	}
	return request{
		Name: name,
		Config: node.Config{
			Dir: stateDir(name), Components: set.Components, Images: []string{string(set.Images)},
			CRDs: set.CRDs, Cgroup: cgroupName(name), CNIDir: cni, Snapshotter: snapshotter,
			Gateway: !o.NoGateway, Audit: o.Audit,
		},
		Programs: map[string]string{
			"helm3": set.Helm3, "helm4": set.Helm4, "cluster": self,
			"kubectl": filepath.Join(set.Components, "kubectl"),
		},
	}, nil
}

// snapshotter is containerd's way to stack image layers in dir: overlayfs
// does not work on top of another one, as in a container.
func snapshotter(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	if s.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}

const (
	// leastDisk is what a cluster needs for its images, logs and pods before its
	// kubelet sees a full disk and leaves pods Pending.
	leastDisk = 1 << 30
	// easyDisk is what the end-to-end tests fill at most, with room.
	easyDisk = 3 << 30
)

// checkDisk refuses a disk on which pods could not run, and warns of one that
// may become so.
func checkDisk(dir string, log io.Writer) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("file system of %s: %w", dir, err)
	}
	return judgeDisk(dir, s.Bavail*uint64(s.Bsize), log)
}

func judgeDisk(dir string, free uint64, log io.Writer) error {
	said := fmt.Sprintf("%s has %.1f GiB of free disk, and a cluster needs", dir, float64(free)/(1<<30))
	switch {
	case free < leastDisk:
		return fmt.Errorf("%s at least %d: make room, or set TMPDIR to a larger disk", said, leastDisk>>30)
	case free < easyDisk:
		fmt.Fprintf(log, "warning: %s up to %d: pods stay Pending when it is full\n", said, easyDisk>>30)
	}
	return nil
}

func startKeeper(name string, r request) (*Handle, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	h := &Handle{Cluster: Cluster{Name: name, Dir: stateDir(name)}, report: new(bytes.Buffer), ended: make(chan struct{})}
	h.keeper = exec.Command("/proc/self/exe", KeeperCommand)
	h.keeper.Stdout, h.keeper.Stderr = h.report, h.report
	h.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signals of the terminal
	if h.input, err = h.keeper.StdinPipe(); err != nil {
		return nil, err
	}
	if err := h.keeper.Start(); err != nil {
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	go func() {
		_ = h.keeper.Wait() // its report says what was wrong
		close(h.ended)
	}()
	if _, err := h.input.Write(append(line, '\n')); err != nil {
		return nil, errors.Join(fmt.Errorf("tell the keeper: %w", err), h.Down())
	}
	return h, nil
}

// awaitReady follows the start and writes each finished step.
func (h *Handle) awaitReady(ctx context.Context, log io.Writer) error {
	shown := 0
	for {
		status, err := h.Status(ctx)
		if err == nil {
			for ; shown < len(status.Steps); shown++ {
				fmt.Fprintf(log, "%6.1fs  %s\n", status.Steps[shown].Seconds, status.Steps[shown].Name)
			}
			switch status.Phase {
			case node.PhaseReady:
				h.Cluster, err = Find(h.Name)
				return err
			case node.PhaseFailed:
				return fmt.Errorf("start cluster %q: %s", h.Name, status.Failure)
			case node.PhaseStarting:
			}
		}
		select {
		case <-h.ended:
			return fmt.Errorf("start cluster %q: %s", h.Name, strings.TrimSpace(h.report.String()))
		case <-ctx.Done():
			return fmt.Errorf("start cluster %q: %w while %s", h.Name, context.Cause(ctx), status.Step)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Detach lets the cluster live on after this process, until Down.
func (h *Handle) Detach() error {
	if _, err := io.WriteString(h.input, wordDetach+"\n"); err != nil {
		return fmt.Errorf("detach from cluster %q: %w", h.Name, err)
	}
	return h.input.Close()
}

// Down ends the cluster and waits until nothing is left of it. The error is
// what the keeper could not remove.
func (h *Handle) Down() error {
	_ = h.input.Close() // closed already when the keeper ended first
	<-h.ended
	if h.keeper.ProcessState.Success() {
		return nil
	}
	return fmt.Errorf("end cluster %q: %s", h.Name, strings.TrimSpace(h.report.String()))
}

// Down ends a cluster that another process started. The error is ErrNotRunning
// when there is none; its remains are removed even then.
func Down(ctx context.Context, name string) error {
	c, err := Find(name)
	if errors.Is(err, ErrNotRunning) {
		return errors.Join(err, sweep())
	}
	if err != nil {
		return err
	}
	if err := unix.Kill(c.Keeper, unix.SIGTERM); err != nil {
		return fmt.Errorf("end the keeper of cluster %q, process %d: %w", name, c.Keeper, err)
	}
	for {
		unlock, err := lock(name)
		if err == nil {
			err = remove(name, false) // nothing, unless the keeper was killed meanwhile
			unlock()
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end cluster %q: %w", name, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Status asks the cluster how it is.
func (c Cluster) Status(ctx context.Context) (node.Status, error) {
	var s node.Status
	b, err := c.ask(ctx, http.MethodGet, "/status")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// Act does an action to a component and returns when it is done.
func (c Cluster) Act(ctx context.Context, component string, action node.Action) error {
	_, err := c.ask(ctx, http.MethodPost, "/components/"+component+"/"+string(action))
	return err
}

func (c Cluster) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://cluster"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.control().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(b)))
	}
	return b, err
}

// AddImage makes an image of a static binary and serves it in this cluster's
// registry.
func (c Cluster) AddImage(reference, binary string) error {
	r, err := image.ParseReference(reference)
	if err != nil {
		return err
	}
	store := image.Store(filepath.Join(c.Dir, "images"))
	return store.Write(r, filepath.Base(r.Repository), image.Spec{Binary: binary})
}
