package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/test/cluster/internal/image"
	"fairlead.dev/fairlead/test/cluster/internal/node"
)

func newComponent(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "component stop|kill|start|restart|pause|resume NAME",
		Short: "Stop, kill, start, restart, pause or resume a component",
		Long: `For tests of faults. "stop" is SIGTERM, "kill" SIGKILL; "start" and "restart" wait
until the component answers; "pause" freezes it, so that its connections hang.
Works from inside the cluster too. NAME is one of the names that "status" shows.`,
		Example: `  cluster component restart kube-apiserver`,
		Args:    exactly("ACTION", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.find()
			if err != nil {
				return err
			}
			return c.Act(cmd.Context(), args[1], node.Action(args[0]))
		},
	}
}

func newLogs(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "logs COMPONENT",
		Short: "Print a component's log; \"node\" is the supervisor's",
		Args:  exactly("COMPONENT"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := o.find()
			if err != nil {
				return err
			}
			f, err := os.Open(c.Log(args[0]))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(o.stdout, f)
			return err
		},
	}
}

func newImage(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Add an image to a cluster, or save one as an archive"}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "add NAME=BINARY",
			Short:   "Serve a static program as image " + image.Host + "/NAME",
			Example: `  cluster image add fairlead:test=bin/fairlead`,
			Args:    exactly("NAME=BINARY"),
			RunE: func(_ *cobra.Command, args []string) error {
				images, err := parseImages(args)
				if err != nil {
					return err
				}
				c, err := o.find()
				for name, binary := range images {
					err = errors.Join(err, c.AddImage(name, binary))
				}
				return err
			},
		},
		&cobra.Command{
			Use:     "save NAME FILE",
			Short:   "Write an image of a running cluster as an OCI archive",
			Example: `  cluster image save app:v1 app.tar && kind load image-archive app.tar`,
			Args:    exactly("NAME", "FILE"),
			RunE: func(_ *cobra.Command, args []string) error {
				reference, err := image.ParseReference(args[0])
				if err != nil {
					return usageError{err}
				}
				c, err := o.find()
				if err != nil {
					return err
				}
				return save(c.Images, reference, args[1])
			},
		},
	)
	return cmd
}

// save writes the image from the first store that has it.
func save(stores []string, r image.Reference, file string) error {
	for _, dir := range stores {
		store := image.Store(dir)
		if _, err := store.Resolve(r); errors.Is(err, image.ErrNotFound) {
			continue
		}
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return errors.Join(store.WriteTar(f, r), f.Close())
	}
	return fmt.Errorf("%s: %w", r, image.ErrNotFound)
}
