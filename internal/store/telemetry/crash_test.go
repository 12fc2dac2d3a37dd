package telemetry

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// The test binary runs itself as the process that is killed.
const crashDir = "FAIRLEAD_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// crashID is the trace of the n-th request of a worker in a round.
func crashID(round, worker, n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint32(id[0:], uint32(round))
	binary.BigEndian.PutUint32(id[4:], uint32(worker))
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// writeUntilKilled stores spans and log records from several goroutines and
// seals meanwhile. It prints a line for each request that was acknowledged.
func writeUntilKilled(dir string) {
	round := 0
	_, _ = fmt.Sscan(os.Getenv("FAIRLEAD_TEST_CRASH_ROUND"), &round)
	s, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := crashID(round, worker, n)
				td := ptrace.NewTraces()
				rs := td.ResourceSpans().AppendEmpty()
				rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("svc-%d", worker))
				spans := rs.ScopeSpans().AppendEmpty().Spans()
				for k := range 1 + n%200 {
					sp := spans.AppendEmpty()
					sp.SetTraceID(id)
					sp.SetSpanID(pcommon.SpanID{byte(k), 1})
					sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
				}
				if err := s.ConsumeTraces(ctx, td); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				ld := plog.NewLogs()
				l := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				l.SetTraceID(id)
				if err := s.ConsumeLogs(ctx, ld); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				// One write: the line is whole or not there.
				_, _ = os.Stdout.WriteString(fmt.Sprintf("%d %d\n", worker, n))
			}
		})
	}
	wg.Go(func() {
		for {
			if err := s.Seal(ctx); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	})
	wg.Wait()
}

// A process killed at any moment loses nothing that it acknowledged, and its
// files open again by themselves.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	type request struct{ round, worker, n int }
	var acknowledged []request
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("FAIRLEAD_TEST_CRASH_ROUND=%d", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Kill it after a number of acknowledgements, so that a slow machine
		// gets as far as a fast one.
		kill := 5 + rand.IntN(150)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			r := request{round: round}
			if _, err := fmt.Sscan(lines.Text(), &r.worker, &r.n); err != nil {
				t.Fatalf("line %q: %v", lines.Text(), err)
			}
			acknowledged = append(acknowledged, r)
			if n == kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("round %d: the writer ended by itself: %v", round, err)
		}
	}
	s, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if aside := s.Stats().Aside; len(aside) > 0 {
		t.Errorf("set aside: %v", aside)
	}
	found, spans := 0, 0
	for _, r := range acknowledged {
		id := crashID(r.round, r.worker, r.n)
		td, err := s.Trace(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		logs, _, err := s.SearchLogs(t.Context(), LogQuery{TraceID: otlpwire.TraceID(id)})
		if err != nil {
			t.Fatal(err)
		}
		spans += td.SpanCount()
		if td.SpanCount() == 1+r.n%200 && len(logs) == 1 {
			found++
		} else {
			t.Errorf("request %+v was acknowledged: %d spans and %d logs of it are found, want %d and 1", r, td.SpanCount(), len(logs), 1+r.n%200)
		}
	}
	t.Logf("%d kills, %d requests acknowledged, %d found (%d spans)", rounds, len(acknowledged), found, spans)
}
