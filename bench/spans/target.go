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
	"net/url"
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
	ask  [questions]ask
}

// ask puts one question and returns how many items came back. Within the server
// it also returns how long the store took; elsewhere the asker's clock counts.
type ask func(ctx context.Context, service string, id pcommon.TraceID) (n int, took time.Duration, err error)

// The questions. A target leaves out what it has no answer to.
const (
	errorsInProcess = iota // the newest 20 failed spans of the canary of a service
	traceInProcess
	searchHTTP // the newest 20 traces with such a span, whole traces read
	traceHTTP
	questions
)

var questionNames = [questions]string{
	"newest 20 failed canary spans of a service, in process",
	"trace by id, in process",
	"newest 20 traces with a failed canary span, over HTTP",
	"trace by id, over HTTP",
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
	mux.Handle("/in-process", inProcess(store))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	fmt.Fprintln(out, recv.GRPCAddr(), ln.Addr())
	<-ctx.Done()
	return nil
}

// inProcess asks the store itself and answers with the number of spans and how
// many nanoseconds it took.
func inProcess(store *telemetry.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var n int
		var err error
		var id pcommon.TraceID
		_, idErr := hex.Decode(id[:], []byte(r.FormValue("trace")))
		began := time.Now()
		if r.Form.Has("trace") {
			var td ptrace.Traces
			td, err = store.Trace(r.Context(), id)
			n = td.SpanCount()
		} else {
			var spans []telemetry.Span
			spans, _, err = store.SearchSpans(r.Context(), telemetry.SpanQuery{
				Service: r.FormValue("service"), Version: "1.1.0", Track: "canary", HasStatus: true, Status: ptrace.StatusCodeError, Limit: 20,
			})
			n = len(spans)
		}
		took := time.Since(began)
		if err = errors.Join(err, idErr); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, n, took.Nanoseconds())
	}
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
	within := func(ctx context.Context, query string) (n int, took time.Duration, err error) {
		body, err := fetch(ctx, api+"/in-process?"+query, "")
		if err == nil {
			_, err = fmt.Sscan(string(body), &n, &took)
		}
		return n, took, err
	}
	t.ask[errorsInProcess] = func(ctx context.Context, service string, _ pcommon.TraceID) (int, time.Duration, error) {
		return within(ctx, "service="+service)
	}
	t.ask[traceInProcess] = func(ctx context.Context, _ string, id pcommon.TraceID) (int, time.Duration, error) {
		return within(ctx, "trace="+hex.EncodeToString(id[:]))
	}
	t.ask[searchHTTP] = func(ctx context.Context, service string, _ pcommon.TraceID) (int, time.Duration, error) {
		q := fmt.Sprintf(`{ resource.service.name = "%s" && resource.service.version = "1.1.0" && resource.deployment.track = "canary" && status = error }`, service)
		body, err := fetch(ctx, api+"/tempo/api/search?limit=20&q="+url.QueryEscape(q), "")
		if err != nil {
			return 0, 0, err
		}
		var found struct {
			Traces []json.RawMessage `json:"traces"`
		}
		err = json.Unmarshal(body, &found)
		return len(found.Traces), 0, err
	}
	t.ask[traceHTTP] = func(ctx context.Context, _ string, id pcommon.TraceID) (int, time.Duration, error) {
		body, err := fetch(ctx, api+"/tempo/api/traces/"+hex.EncodeToString(id[:]), "application/protobuf")
		if err != nil {
			return 0, 0, err
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		return td.SpanCount(), 0, err
	}
	return t, nil
}

func fetch(ctx context.Context, address, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
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
		err = fmt.Errorf("%s: %s: %s", address, resp.Status, body)
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
