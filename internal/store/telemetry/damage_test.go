package telemetry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"fairlead.dev/fairlead/internal/store/otlptest"
)

// clock is a clock that tests set.
type clock struct{ now atomic.Pointer[time.Time] }

func clockAt(t time.Time) *clock {
	c := &clock{}
	c.now.Store(&t)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }

func (c *clock) Add(d time.Duration) {
	t := c.Now().Add(d)
	c.now.Store(&t)
}

// twoDays stores traces [0, 50) on one day and [50, 100) on the next, and
// returns the names of the files.
func twoDays(t *testing.T, dir string) []string {
	t.Helper()
	c := clockAt(day.Add(time.Hour))
	s := testStore(t, dir, Options{Now: c.Now})
	fill(t, s, shop(time.Second), 0, 50, 100, false)
	c.Add(24 * time.Hour)
	fill(t, s, shop(time.Second), 50, 100, 100, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(names) != 2 {
		t.Fatalf("files: %v, %v", names, err)
	}
	return names
}

func nextDay() time.Time { return day.Add(26 * time.Hour) }

func TestCorruptFileIsSetAside(t *testing.T) {
	for _, tc := range []struct {
		reason string
		damage func([]byte) []byte
	}{
		{"no database at all", func([]byte) []byte { return []byte(strings.Repeat("nonsense ", 1000)) }},
		{"cut in the middle of the schema", func(b []byte) []byte { return b[:100] }},
		{"the tables are zeros", func(b []byte) []byte { return append(b[:4096:4096], make([]byte, len(b)-4096)...) }},
		{"another program's database", func(b []byte) []byte { copy(b[68:], "\x00\x00\x00\x01"); return b }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			dir := t.TempDir()
			names := twoDays(t, dir)
			b, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(names[0], tc.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s := testStore(t, dir, Options{Now: nextDay})
			checkTraces(t, s, shop(time.Second), 50, 100)
			aside := s.Stats().Aside
			if len(aside) != 1 || aside[0].File != filepath.Base(names[0])+".corrupt" || aside[0].Reason == "" {
				t.Errorf("set aside: %+v", aside)
			}
			if _, err := os.Stat(filepath.Join(dir, aside[0].File)); err != nil {
				t.Errorf("the file is not kept: %v", err)
			}
			fill(t, s, shop(time.Second), 100, 110, 100, false)
			checkTraces(t, s, shop(time.Second), 50, 110)
		})
	}
}

func TestDamageFoundByAQuery(t *testing.T) {
	dir := t.TempDir()
	names := twoDays(t, dir)
	// Chunks that are not sealed are read when a file is opened.
	s := testStore(t, dir, Options{Now: nextDay})
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	// Pages after the schema's: the file opens, its tables are broken.
	s = testStore(t, dir, Options{Now: nextDay})
	for i := 2 * 4096; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	spans, sc, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
	if err != nil {
		t.Fatalf("SearchSpans: %v", err)
	}
	if len(sc.Skipped) == 0 || len(spans) < 50*otlptest.SpansPerTrace {
		t.Errorf("%d spans, skipped %v", len(spans), sc.Skipped)
	}
	checkTraces(t, s, shop(time.Second), 50, 100)
}

func TestDamagedChunkIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir, Options{})
	fill(t, s, shop(time.Second), 0, 100, 200, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files: %v, %v", names, err)
	}
	damageChunk(t, names[0])
	s = testStore(t, dir, Options{})
	spans, sc, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
	if err != nil || len(sc.Skipped) != 1 {
		t.Fatalf("SearchSpans: %v, skipped %v", err, sc.Skipped)
	}
	if len(spans) == 0 || len(spans) >= 100*otlptest.SpansPerTrace {
		t.Errorf("%d spans of %d, with one chunk damaged", len(spans), 100*otlptest.SpansPerTrace)
	}
	if st := s.Stats(); st.Files[0].DamagedChunks != 1 || len(st.Aside) != 0 {
		t.Errorf("Stats: %+v", st)
	}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatalf("Seal: %v", err)
	}
	again, sc, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
	if err != nil || len(again) != len(spans) || len(sc.Skipped) != 1 {
		t.Errorf("after sealing %d spans, want %d; skipped %v, %v", len(again), len(spans), sc.Skipped, err)
	}
}

func TestLaterVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	names := twoDays(t, dir)
	b, err := os.ReadFile(names[1])
	if err != nil {
		t.Fatal(err)
	}
	b[63] = 99 // user_version in SQLite's header
	if err := os.WriteFile(names[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "schema version 99") || !strings.Contains(err.Error(), filepath.Base(names[1])) {
		t.Errorf("Open: %v", err)
	}
}

func TestRetention(t *testing.T) {
	c := clockAt(day)
	s := testStore(t, t.TempDir(), Options{Now: c.Now, Retention: 48 * time.Hour, interval: time.Hour})
	for range 6 {
		fill(t, s, shop(time.Second), 0, 10, 100, false)
		c.Add(24 * time.Hour)
	}
	if n := len(s.Stats().Files); n != 6 {
		t.Fatalf("%d files before", n)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range s.Stats().Files {
		names = append(names, f.Name)
	}
	// It is day 6; what was received up to the end of day 3 is older than two.
	if got := strings.Join(names, " "); got != "2026-11-25-000.db 2026-11-24-000.db 2026-11-23-000.db" {
		t.Errorf("files after: %s", got)
	}
}

func TestRetentionBySize(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir, Options{MaxBytes: 600 << 10, fileBytes: 100 << 10, interval: time.Hour})
	sh := shop(time.Second)
	for i := range 40 {
		fill(t, s, sh, i*50, (i+1)*50, 400, false)
	}
	if n := len(s.Stats().Files); n < 8 {
		t.Fatalf("%d files before", n)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Bytes > 600<<10 || len(st.Files) < 2 {
		t.Errorf("%d bytes in %d files", st.Bytes, len(st.Files))
	}
	checkTraces(t, s, sh, 39*50, 40*50)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "2026-11-20-000") {
			t.Errorf("%s is still there", e.Name())
		}
	}
}

func TestDuplicatesAreReturnedOnce(t *testing.T) {
	s := testStore(t, t.TempDir(), Options{})
	sh := shop(time.Second)
	for range 3 {
		fill(t, s, sh, 0, 20, 64, true)
	}
	for range 2 {
		checkTraces(t, s, sh, 0, 20)
		spans, _, err := s.SearchSpans(t.Context(), SpanQuery{Limit: MaxLimit})
		if err != nil || len(spans) != 20*otlptest.SpansPerTrace {
			t.Fatalf("%d spans, %v", len(spans), err)
		}
		if err := s.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	twoDays(t, dir)
	s := testStore(t, dir, Options{Now: nextDay})
	to := filepath.Join(t.TempDir(), "copy")
	if err := s.Backup(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	fill(t, s, shop(time.Second), 100, 110, 100, false)
	checkTraces(t, testStore(t, to, Options{Now: nextDay}), shop(time.Second), 0, 100)
	if err := s.Backup(t.Context(), to); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("second backup to the same place: %v", err)
	}
}

func TestClosedStore(t *testing.T) {
	s := testStore(t, t.TempDir(), Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	if err := s.ConsumeTraces(context.Background(), td); !errors.Is(err, ErrClosed) {
		t.Errorf("ConsumeTraces: %v", err)
	}
	if _, _, err := s.SearchSpans(context.Background(), SpanQuery{}); !errors.Is(err, ErrClosed) {
		t.Errorf("SearchSpans: %v", err)
	}
	if st := s.Stats(); st.Spans != 0 {
		t.Errorf("Stats: %+v", st)
	}
}
