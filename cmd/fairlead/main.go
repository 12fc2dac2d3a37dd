// Command fairlead makes Kubernetes releases observable and canaries safe.
package main

import (
	"context"
	"os"

	"fairlead.dev/fairlead/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args, cli.OSStreams()))
}
