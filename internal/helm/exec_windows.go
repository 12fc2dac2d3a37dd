package helm

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

// Exec is documented in exec_unix.go.
func Exec(path, argv0 string, args, env []string) error {
	cmd := exec.Command(path, args...)
	if argv0 != "" {
		cmd.Args[0] = argv0
	}
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	err := cmd.Wait()
	code, _ := exitStatus(cmd.ProcessState, err)
	os.Exit(code)
	return nil
}
