package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/otlp"
	"fairlead.dev/fairlead/internal/server/tempoapi"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// target is a server under test.
type target struct {
	name string
	grpc string // OTLP
	dir  string // its data
	cmd  *exec.Cmd
	// errors asks for the newest 20 failed spans of the canary of a service, nil
	// where there is no such question; trace for a trace by id. Both return how
	// many spans came back.
	errors func(ctx context.Context, service string) (int, error)
	// search is the same question through the HTTP API, whole traces read.
	search func(ctx context.Context, service string) (int, error)
	trace  func(ctx context.Context, id pcommon.TraceID) (int, error)
}

// serve is the store behind the Collector's receiver.
func serve(ctx context.Context, dir string, out io.Writer) error {
	store, err := telemetry.Open(dir, telemetry.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	recv, err := otlp.NewReceiver(otlp.ReceiverOptions{GRPC: "127.0.0.1:0"}, otlp.Consumers{Traces: store.ConsumeTraces})
	if err != nil {
		return err
	}
	if err := recv.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = recv.Shutdown(context.WithoutCancel(ctx)) }()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/tempo/", http.StripPrefix("/tempo", tempoapi.New(store, tempoapi.Options{})))
	mux.HandleFunc("/errors", func(w http.ResponseWriter, r *http.Request) {
		spans, _, err := store.SearchSpans(r.Context(), telemetry.SpanQuery{
			Service: r.FormValue("service"), Version: "1.1.0", Track: "canary", HasStatus: true, Status: ptrace.StatusCodeError, Limit: 20,
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, len(spans))
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	fmt.Fprintln(out, recv.GRPCAddr(), ln.Addr())
	<-ctx.Done()
	return nil
}

func startStore(ctx context.Context, o options) (*target, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &target{name: "fairlead", dir: filepath.Join(o.dir, "store")}
	t.cmd = exec.CommandContext(ctx, exe, "serve", t.dir)
	t.cmd.Stderr = os.Stderr
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("wait for the store's addresses: %w", err)
	}
	addrs := strings.Fields(line)
	if len(addrs) != 2 {
		return nil, fmt.Errorf("the store printed %q", line)
	}
	t.grpc = addrs[0]
	api := "http://" + addrs[1]
	t.errors = func(ctx context.Context, service string) (int, error) {
		body, err := fetch(ctx, api+"/errors?service="+service, "")
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(body))
	}
	t.search = func(ctx context.Context, service string) (int, error) {
		q := fmt.Sprintf(`{ resource.service.name = "%s" && resource.service.version = "1.1.0" && resource.deployment.track = "canary" && status = error }`, service)
		body, err := fetch(ctx, api+"/tempo/api/search?limit=20&q="+urlEscape(q), "")
		if err != nil {
			return 0, err
		}
		var found struct {
			Traces []json.RawMessage `json:"traces"`
		}
		err = json.Unmarshal(body, &found)
		return len(found.Traces), err
	}
	t.trace = func(ctx context.Context, id pcommon.TraceID) (int, error) {
		body, err := fetch(ctx, api+"/tempo/api/traces/"+hex.EncodeToString(id[:]), "application/protobuf")
		if err != nil {
			return 0, err
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		return td.SpanCount(), err
	}
	return t, nil
}

func fetch(ctx context.Context, url, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return body, err
}

// stop ends the server and waits for it.
func (t *target) stop() error {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	err := t.cmd.Wait()
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		return nil // it was told to
	}
	return err
}

// cpu is the server's CPU time so far.
func (t *target) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the server's CPU time (Linux only): %w", err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("unexpected /proc stat %q", b)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick, err
}

// memory is the server's resident set in bytes.
func (t *target) memory() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	_, _ = fmt.Sscan(string(b), &size, &resident)
	return resident * int64(os.Getpagesize())
}

// bytes is what the server keeps on disk.
func (t *target) bytes() (n int64) {
	_ = filepath.WalkDir(t.dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
