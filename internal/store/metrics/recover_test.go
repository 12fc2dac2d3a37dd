package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

// abandon leaves the store's directory as a kill would: a copy of it, taken
// while it is open.
func abandon(t *testing.T, st *Store) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(st.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func smallSegments(o *Options) { o.walSegmentSize = 32 << 10 }

// fill writes n points of one counter and 20 of gauges beside it, a request
// each second.
func fill(t *testing.T, st *Store, n int) {
	t.Helper()
	for i := range n {
		r := newRequest("service.name", "x").counter("c", cumulative, -1, time.Duration(i)*s, float64(i))
		for j := range 20 {
			r.counter(fmt.Sprintf("other.%d.%d", j, i%7), cumulative, -1, time.Duration(i)*s, float64(i*j)+0.123)
		}
		st.mustConsume(t, r)
	}
}

func TestKilledStoreHasEverythingAcknowledged(t *testing.T) {
	st := openStore(t, t.TempDir())
	fill(t, st, 50)
	st = openStore(t, abandon(t, st))
	if got := st.value(t, "count_over_time(c_total[1h])", m); got != 50 {
		t.Errorf("found %v samples, want 50", got)
	}
	if len(st.SetAside()) != 0 {
		t.Errorf("set aside %v, want nothing", st.SetAside())
	}
}

func TestTornTailIsNotDamage(t *testing.T) {
	st := openStore(t, t.TempDir())
	fill(t, st, 50)
	dir := abandon(t, st)
	segment := wlog.SegmentName(filepath.Join(dir, "tsdb", "wal"), 0)
	info, err := os.Stat(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segment, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, dir)
	if got := st.value(t, "count_over_time(c_total[1h])", m); got < 49 {
		t.Errorf("found %v samples, want at least 49", got)
	}
	if len(st.SetAside()) != 0 {
		t.Errorf("set aside %v, want nothing", st.SetAside())
	}
}

func TestDamagedSegmentIsSetAsideAndTheRestServed(t *testing.T) {
	st := openStore(t, t.TempDir(), smallSegments)
	fill(t, st, 600)
	dir := abandon(t, st)
	wal := filepath.Join(dir, "tsdb", "wal")
	all := segments(wal)
	if len(all) < 4 {
		t.Fatalf("only %d segments; the test needs 4", len(all))
	}
	overwrite(t, wlog.SegmentName(wal, 1), 10_000)
	st = openStore(t, dir, smallSegments)
	aside := st.SetAside()
	if len(aside) != 1 || !strings.Contains(aside[0].Reason, "segment 00000001") || aside[0].Salvaged == 0 {
		t.Fatalf("set aside %+v, want segment 1 with samples read back", aside)
	}
	if _, err := os.Stat(filepath.Join(aside[0].Path, "00000001")); err != nil {
		t.Errorf("the damaged segment is not where it is said to be: %v", err)
	}
	got := st.value(t, "count_over_time(c_total[1h])", 20*m)
	if lost := 600 - got; lost < 1 || lost > 600/float64(len(all))+1 {
		t.Errorf("lost %v of 600 samples in %d segments, want at most one segment's", lost, len(all))
	}
	// What comes now is kept, over the next restart too.
	st.mustConsume(t, newRequest("service.name", "x").counter("c", cumulative, -1, 900*s, 900))
	st = openStore(t, abandon(t, st), smallSegments)
	if after := st.value(t, "count_over_time(c_total[1h])", 20*m); after != got+1 {
		t.Errorf("after a restart %v samples, want %v", after, got+1)
	}
	if len(st.SetAside()) != 0 {
		t.Errorf("set aside again: %v", st.SetAside())
	}
}

func overwrite(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("these bytes were not here before"), at); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedBlockIsSetAsideAndTheRestServed(t *testing.T) {
	for _, file := range []string{"index", "meta.json", "chunks/000001"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := t.TempDir()
			st := openStore(t, dir)
			fill(t, st, 50)
			if err := st.db.CompactHead(rangeOf(st)); err != nil {
				t.Fatal(err)
			}
			blocks := st.db.Blocks()
			if len(blocks) != 1 {
				t.Fatalf("%d blocks, want 1", len(blocks))
			}
			id := blocks[0].Meta().ULID.String()
			st.mustConsume(t, newRequest("service.name", "x").counter("c", cumulative, -1, 10*m, 600))
			dir = abandon(t, st)
			overwrite(t, filepath.Join(dir, "tsdb", id, file), 0)
			st = openStore(t, dir)
			aside := st.SetAside()
			if len(aside) != 1 || !strings.Contains(aside[0].Path, id) {
				t.Fatalf("set aside %+v, want block %s", aside, id)
			}
			if got := st.value(t, "c_total", 10*m); got != 600 {
				t.Errorf("the newest sample = %v, want 600", got)
			}
		})
	}
}

func TestUnreadableCheckpointDoesNotStopTheStore(t *testing.T) {
	st := openStore(t, t.TempDir(), smallSegments)
	fill(t, st, 600)
	dir := abandon(t, st)
	checkpoint := filepath.Join(dir, "tsdb", "wal", "checkpoint.00000001")
	if err := os.MkdirAll(checkpoint, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(checkpoint, "00000000"), []byte(strings.Repeat("garbage", 9000)), 0o600); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, dir, smallSegments)
	if len(st.SetAside()) == 0 {
		t.Error("nothing was set aside")
	}
	if got := st.value(t, "count_over_time(c_total[1h])", 20*m); got < 300 {
		t.Errorf("found %v samples of 600", got)
	}
}

func TestSecondStoreOnTheDirectoryIsRefused(t *testing.T) {
	st := openStore(t, t.TempDir())
	if _, err := Open(st.dir, Options{}); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Fatalf("got %v, want an error about the lock", err)
	}
	if len(st.SetAside()) != 0 {
		t.Error("the refused opening touched the files")
	}
}
