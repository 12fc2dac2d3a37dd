package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/test/cluster/internal/cluster"
	"fairlead.dev/fairlead/test/cluster/internal/host"
	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

// upFlags are those of the commands that start a cluster.
type upFlags struct {
	noGateway bool
	audit     bool
	keep      bool
	images    []string
}

func (f *upFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.noGateway, "no-gateway", false, "start no Traefik")
	cmd.Flags().BoolVar(&f.audit, "audit", false, "log every API request to logs/audit.log of the state directory")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "keep the logs when starting fails")
	cmd.Flags().StringArrayVar(&f.images, "image", nil, "serve NAME=BINARY, a static program, as image "+image.Host+"/NAME (may be given several times)")
}

// start builds what is missing and starts the cluster.
func (f *upFlags) start(ctx context.Context, o *options) (*cluster.Handle, error) {
	images, err := parseImages(f.images)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(o.outside(), host.Supported()); err != nil {
		return nil, err
	}
	if _, err := cluster.Find(o.name); err == nil {
		return nil, fmt.Errorf("cluster %q: %w; end it with: cluster down --name %s", o.name, cluster.ErrRunning, o.name)
	}
	cache, err := o.cache()
	if err != nil {
		return nil, err
	}
	set, err := cache.Build(ctx)
	if err != nil {
		return nil, err
	}
	return cluster.Up(ctx, o.name, set, cluster.Options{
		NoGateway: f.noGateway, Audit: f.audit, KeepLogs: f.keep, Images: images, Log: o.progress(),
	})
}

func parseImages(flags []string) (map[string]string, error) {
	images := map[string]string{}
	for _, f := range flags {
		name, binary, found := strings.Cut(f, "=")
		if _, err := image.ParseReference(name); err != nil {
			return nil, usageError{err}
		}
		if info, err := os.Stat(binary); !found || err != nil || !info.Mode().IsRegular() {
			return nil, usageError{fmt.Errorf("image %q: want NAME=BINARY, where BINARY is a file", f)}
		}
		images[name] = binary
	}
	return images, nil
}

func newUp(o *options) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster that stays until \"cluster down\"",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.external() {
				fmt.Fprintln(o.stderr, "KUBECONFIG is set: that cluster is used, none is started")
				return nil
			}
			h, err := f.start(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := h.Detach(); err != nil {
				return err
			}
			fmt.Fprintf(o.progress(), "cluster %q is up; try: cluster exec -- kubectl get pods -A\n", o.name)
			return nil
		},
	}
	f.bind(cmd)
	return cmd
}

// downTimeout is how long the end of a cluster may take; it takes a second.
const downTimeout = 2 * time.Minute

func newDown(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster and remove all of it",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.external() {
				fmt.Fprintln(o.stderr, "KUBECONFIG is set: that cluster is yours to end")
				return nil
			}
			if err := o.outside(); err != nil {
				return err
			}
			names := []string{o.name}
			if all {
				var err error
				if names, err = cluster.Names(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), downTimeout)
			defer cancel()
			for _, name := range names {
				if err := cluster.Down(ctx, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end every cluster of this machine")
	return cmd
}

func newRun(o *options) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Start a cluster, run a command in it, end the cluster",
		Long: `Starts a cluster of its own, runs the command inside (see "cluster exec --help"),
ends the cluster and exits with the command's exit status. When this program is
killed the cluster and the command end too.`,
		Example: `  cluster run -- ./e2e.test -test.v
  cluster run --image fairlead:test=bin/fairlead -- ./e2e.test -test.run Agent`,
		Args: commandArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.external() {
				return runExternal(cmd.Context(), o, args)
			}
			// One of several runs at a time must not need a name.
			if !cmd.Flags().Changed("name") {
				o.name = fmt.Sprintf("run-%d", os.Getpid())
			}
			h, err := f.start(cmd.Context(), o)
			if err != nil {
				return err
			}
			code, err := h.Exec(context.Background(), args) // it gets the signals itself
			warnOfDead(h.Cluster, o.stderr)
			err = errors.Join(err, h.Down())
			if err == nil && code != 0 {
				return exitError(code)
			}
			return err
		},
	}
	f.bind(cmd)
	return cmd
}

// warnOfDead names the components that ended by themselves while a command
// ran; its own failure may be a consequence.
func warnOfDead(c cluster.Cluster, w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status, err := c.Status(ctx)
	if err != nil {
		fmt.Fprintf(w, "cluster: the cluster does not answer any more: %v\n", err)
		return
	}
	for _, component := range status.Components {
		if component.State == node.StateDied {
			fmt.Fprintf(w, "cluster: %s ended during the run (%s); the last lines of its log:\n%s\n",
				component.Name, component.Exit, node.LastLines(c.Log(component.Name), 15))
		}
	}
}

func newExec(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "exec -- COMMAND [ARGUMENT...]",
		Short: "Run a command inside a cluster",
		Long: `Runs the command in the cluster's namespaces, in this directory, with KUBECONFIG
set and helm3, helm4, kubectl and cluster in the PATH. The exit status is the
command's. It can listen on 127.0.0.1 and, for pods to reach it, on
$FAIRLEAD_TEST_NODE_ADDRESS; there is no way out to other networks.`,
		Args: commandArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.external() {
				return runExternal(cmd.Context(), o, args)
			}
			if o.inside() {
				return runHere(args, os.Environ())
			}
			if err := errors.Join(o.outside(), host.Supported()); err != nil {
				return err
			}
			c, err := cluster.Find(o.name)
			if err != nil {
				return notRunning(err, o.name)
			}
			code, err := c.Exec(context.Background(), args)
			if err == nil && code != 0 {
				return exitError(code)
			}
			return err
		},
	}
}

func notRunning(err error, name string) error {
	if errors.Is(err, cluster.ErrNotRunning) {
		return fmt.Errorf("%w; start it with: cluster up --name %s", err, name)
	}
	return err
}

func newStatus(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a cluster's phase and processes",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.find()
			if err != nil {
				return err
			}
			status, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			switch output {
			case "json":
				return json.NewEncoder(o.stdout).Encode(status)
			case "":
			default:
				return usageError{fmt.Errorf("-o %q: want json", output)}
			}
			fmt.Fprintf(o.stdout, "%s: %s %s%s\n", c.Name, status.Phase, status.Step, status.Failure)
			for _, p := range status.Components {
				fmt.Fprintf(o.stdout, "  %-24s %-8s pid %-6d starts %d  %s\n", p.Name, p.State, p.PID, p.Starts, p.Exit)
			}
			fmt.Fprintf(o.stdout, "  kubeconfig %s\n  logs       %s\n", c.Kubeconfig(), strings.TrimSuffix(c.Log(""), "/.log"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for JSON")
	return cmd
}

// find returns the cluster for commands that only talk to it.
func (o *options) find() (cluster.Cluster, error) {
	if o.external() {
		return cluster.Cluster{}, errors.New("KUBECONFIG is set: this command is for clusters of the test bed's own")
	}
	c, err := cluster.Find(o.name)
	return c, notRunning(err, o.name)
}

func newKubeconfig(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig (good inside the cluster)",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			if o.external() {
				fmt.Fprintln(o.stdout, os.Getenv("KUBECONFIG"))
				return nil
			}
			c, err := o.find()
			if err != nil {
				return err
			}
			fmt.Fprintln(o.stdout, c.Kubeconfig())
			return nil
		},
	}
}

// internalCommands are the processes of a cluster.
func internalCommands() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: cluster.KeeperCommand, Hidden: true, Args: exactly(),
			RunE: func(*cobra.Command, []string) error { return cluster.Keep(os.Stdin) },
		},
		{
			Use: cluster.InitCommand, Hidden: true, Args: exactly("DIR"),
			RunE: func(_ *cobra.Command, args []string) error {
				return node.Init("/proc/self/exe", []string{cluster.NodeCommand, args[0]})
			},
		},
		{
			Use: cluster.NodeCommand, Hidden: true, Args: exactly("DIR"),
			RunE: func(_ *cobra.Command, args []string) error { return node.Run(args[0]) },
		},
		{
			Use: cluster.ChildCommand, Hidden: true, Args: cobra.MinimumNArgs(2),
			RunE: func(_ *cobra.Command, args []string) error { return cluster.Child(args[0], args[1:]) },
		},
	}
}
