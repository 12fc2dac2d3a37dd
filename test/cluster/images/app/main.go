// Command app is the application that tests deploy: a small web server whose
// health, speed, errors and end are set by environment variables, and a job
// for hooks. It uses the standard library only and runs FROM scratch.
//
//	app                     serve HTTP
//	app job ok|fail [WAIT]  wait, then end well or badly
//
// See config.go for the variables.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(job(os.Args[1:]))
	}
	c, err := readConfig(os.Getenv)
	if err != nil {
		end(2, err.Error())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, c); err != nil {
		end(1, err.Error())
	}
	logf("stopped version=%s", c.version)
}

func run(ctx context.Context, c config) error {
	logf("starting version=%s", c.version)
	if c.log != "" {
		logf("%s", c.log)
	}
	if c.crashes {
		time.AfterFunc(c.crashAfter, func() { end(c.exitCode, c.crashMessage) })
	}
	if !wait(ctx, c.startDelay) {
		return nil
	}
	hog := allocate(c.memoryMiB)
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.address, err)
	}
	// Longer than a gateway keeps a connection that it has opened ahead: who closes first loses a request.
	server := &http.Server{Handler: newHandler(c, time.Now()), ReadHeaderTimeout: 2 * time.Minute}
	logf("listening on %s", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	logf("stopping: draining for %s", c.drain)
	drain, cancel := context.WithTimeout(context.Background(), c.drain)
	defer cancel()
	err = server.Shutdown(drain)
	runtime.KeepAlive(hog)
	return err
}

// job runs "job ok|fail [WAIT]" and returns the exit code.
func job(args []string) int {
	if args[0] != "job" || len(args) < 2 || len(args) > 3 || (args[1] != "ok" && args[1] != "fail") {
		return report(2, fmt.Sprintf("unknown arguments %q, want: job ok|fail [WAIT]", args))
	}
	var after time.Duration
	if len(args) == 3 {
		var err error
		if after, err = time.ParseDuration(args[2]); err != nil {
			return report(2, fmt.Sprintf("WAIT %q: %v", args[2], err))
		}
	}
	logf("job starts")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if !wait(ctx, after) {
		return report(143, "job was told to stop")
	}
	if args[1] == "fail" {
		return report(1, valueOr(os.Getenv("CRASH_MESSAGE"), "job failed as told"))
	}
	logf("job done")
	return 0
}

// allocate takes memory and touches every page of it, so that it counts
// against the container's limit.
func allocate(mib int) []byte {
	const page = 4096
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	return b
}

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// terminationLog is where the kubelet reads a container's last words.
const terminationLog = "/dev/termination-log"

// report logs the message and leaves it as the termination message.
func report(code int, message string) int {
	logf("%s", message)
	// Outside a container the file is missing; the log line is there all the same.
	if f, err := os.OpenFile(terminationLog, os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString(message)
		_ = f.Close()
	}
	return code
}

func end(code int, message string) { os.Exit(report(code, message)) }

func logf(format string, args ...any) {
	fmt.Printf(time.Now().UTC().Format(time.RFC3339Nano)+" "+format+"\n", args...)
}
