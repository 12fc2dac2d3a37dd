package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/internal/demo"
	"fairlead.dev/fairlead/internal/demo/app"
)

type demoOptions struct {
	streams          Streams
	http, data       string
	open, keep, exit bool
	part             string
	cluster, image   string
}

func newDemoCommand(s Streams) *cobra.Command {
	o := &demoOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story on this machine: a canary promoted, another rolled back",
		Long: `Run two canary releases of a small shop on this machine, without a cluster, in
about two minutes: a good version goes from 5 % of the traffic to all of it and is
promoted; a bad one is rolled back, and its failed traces are explained.

Processes, traffic, proxy, telemetry, server, judge and rollout are the real ones;
only the customers are made up, and gates last seconds in place of minutes. The
pages stay until Ctrl-C when standard output is a terminal. Nothing is left behind.

With KUBECONFIG set the Helm half follows, on that cluster's real pods, in a
namespace of its own that is removed at the end: an install, an upgrade, and an
upgrade that fails, is explained and rolled back, through fairlead helm. --cluster
alone starts a Kubernetes on this machine for it (Linux, root, a checkout of
fairlead: make demo-cluster); --cluster=none leaves it out.

Exit codes: 0 the good version was promoted and the bad one rolled back, 1 anything
else, 130 interrupted before that.`,
		Example: `  fairlead demo
  fairlead demo --open
  KUBECONFIG=~/.kube/config fairlead demo --part helm
  fairlead demo --exit --http 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.keep && o.exit {
				return errors.New("--keep and --exit: give one of them")
			}
			return runDemo(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.http, "http", "127.0.0.1:8484", "address of the server's pages; port 0 takes any free one")
	f.StringVar(&o.data, "data", "", "keep the telemetry in this directory (default: a temporary one, removed at the end)")
	f.BoolVar(&o.open, "open", false, "open the pages in a browser")
	f.BoolVar(&o.keep, "keep", false, "keep everything running at the end, until Ctrl-C (default on a terminal)")
	f.BoolVar(&o.exit, "exit", false, "end when the story has ended (default without a terminal)")
	f.StringVar(&o.part, "part", string(demo.PartAll), "what to tell: all, canaries or helm")
	f.StringVar(&o.cluster, "cluster", string(demo.ClusterAuto), "where the Helm half runs: auto (KUBECONFIG, if it is set), kubeconfig, testbed or none")
	f.Lookup("cluster").NoOptDefVal = string(demo.ClusterTestbed)
	f.StringVar(&o.image, "image", "", "image of fairlead that the cluster of KUBECONFIG can pull (default: any small image, with less to tell)")
	cmd.AddCommand(newDemoAppCommand(s), newDemoReleasesCommand(s))
	return cmd
}

func newDemoAppCommand(s Streams) *cobra.Command {
	var c app.Config
	cmd := &cobra.Command{
		Use: "app", Short: "Run a process of the demo's application", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.Run(cmd.Context(), c, s.In, s.Out) },
	}
	f := cmd.Flags()
	f.StringVar(&c.Role, "role", app.RoleShop, "shop or payments")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:0", "address to serve on")
	f.StringVar(&c.Payments, "payments", "", "URL of the payment provider")
	f.StringVar(&c.PaymentAPI, "payment-api", "v1", "interface of the payment provider: v1 or v2")
	return cmd
}

// newDemoReleasesCommand is the Helm half alone, which the demo runs inside of
// the test bed.
func newDemoReleasesCommand(s Streams) *cobra.Command {
	var o demo.ReleasesOptions
	var began int64
	cmd := &cobra.Command{
		Use: "releases", Short: "Tell the Helm half of the demo", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Self, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Out, o.Began = s.Out, time.Unix(0, began)
			_, err = demo.Releases(ctx, o)
			return interrupted(ctx, err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Image, "image", "", "image of fairlead")
	f.StringVar(&o.Socket, "telemetry-socket", "", "Unix socket of the server's OTLP/HTTP")
	f.Int64Var(&began, "began", time.Now().UnixNano(), "when the story began, in nanoseconds of Unix time")
	f.BoolVar(&o.Color, "color", false, "use colours")
	return cmd
}

// interrupted is exit code 130 for what ended because ctx did.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return Exit(ExitInterrupted)
	}
	return err
}

func runDemo(ctx context.Context, o *demoOptions) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := isTerminal(o.streams.Out)
	options := demo.Options{
		Version: version, Self: self, AppArgs: []string{"demo", "app"}, HTTP: o.http, Data: o.data,
		Part: demo.Part(o.part), Cluster: demo.Cluster(o.cluster), Image: o.image,
		Keep: o.keep || terminal && !o.exit, Out: o.streams.Out, Color: terminal && os.Getenv("NO_COLOR") == "",
	}
	if err := options.Validate(); err != nil {
		return err
	}
	if o.open {
		options.Opened = func(url string) {
			if err := openBrowser(ctx, url); err != nil {
				fmt.Fprintf(o.streams.Err, "--open: %v\n", err)
			}
		}
	}
	return interrupted(ctx, demo.Run(ctx, options))
}

// openBrowser shows url in the user's browser, and does not wait for it.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // a browser may stay for hours
	return nil
}
