package metrics

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const s, m = time.Second, time.Minute

func wantSamples(t *testing.T, store *Store, selector string, want map[time.Duration]float64) {
	t.Helper()
	if got := store.samples(t, selector); !maps.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", selector, got, want)
	}
}

// Four runs of a pipeline, seven minutes apart, each a process of its own that
// counts one: PromQL must see four.
func TestDeltaOfShortProcessesSharingASeries(t *testing.T) {
	st := openStore(t, t.TempDir())
	for i := range 4 {
		end := time.Duration(i)*7*m + 10*s
		st.mustConsume(t, newRequest("service.name", "pipeline").counter("runs", delta, end-5*s, end, 1))
	}
	wantSamples(t, st, "runs_total", map[time.Duration]float64{
		5 * s: 0, 10 * s: 1,
		7*m + 5*s: 1, 7*m + 10*s: 2,
		14*m + 5*s: 2, 14*m + 10*s: 3,
		21*m + 5*s: 3, 21*m + 10*s: 4,
	})
	if got := st.value(t, "increase(runs_total[1h])", 21*m+10*s); got < 4 || got > 4.8 {
		t.Errorf("increase over an hour = %v, want 4 to 4.8", got)
	}
	// A window with only the newest run in it sees that one.
	if got := st.value(t, "increase(runs_total[1m])", 21*m+30*s); got < 1 || got > 12 {
		t.Errorf("increase over a minute = %v, want at least 1", got)
	}
}

func TestDeltaContiguousIntervalsAddNoBaseline(t *testing.T) {
	st := openStore(t, t.TempDir())
	for i := range 4 {
		st.mustConsume(t, newRequest().counter("c", delta, time.Duration(i)*15*s, time.Duration(i+1)*15*s, 2))
	}
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 2, 30 * s: 4, 45 * s: 6, 60 * s: 8})
}

func TestDeltaRepeatedRequestCountsOnce(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	for range 3 {
		st.mustConsume(t, newRequest().counter("c", delta, 0, 15*s, 2))
	}
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 2})
	reopen(t, st)
	again := openStore(t, dir)
	again.mustConsume(t, newRequest().counter("c", delta, 0, 15*s, 2))
	wantSamples(t, again, "c_total", map[time.Duration]float64{0: 0, 15 * s: 2})
}

// Two processes write one series: nothing of either is lost.
func TestDeltaOfTwoProcessesAtOnce(t *testing.T) {
	st := openStore(t, t.TempDir())
	st.mustConsume(t, newRequest().counter("c", delta, 0, 15*s, 2))
	st.mustConsume(t, newRequest().counter("c", delta, 3*s, 14*s, 5)) // late
	st.mustConsume(t, newRequest().counter("c", delta, 4*s, 15*s, 1)) // same instant
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 2, 15*s + time.Millisecond: 7, 15*s + 2*time.Millisecond: 8})
}

func TestDeltaTooLateIsRejected(t *testing.T) {
	st := openStore(t, t.TempDir(), func(o *Options) { o.OutOfOrder = m })
	st.mustConsume(t, newRequest().counter("c", delta, 10*m, 11*m, 2))
	err := st.ConsumeMetrics(t.Context(), newRequest().counter("c", delta, 8*m, 9*m, 1).counter("other", delta, 10*m, 11*m, 7).md)
	var partial *PartialError
	if !errors.As(err, &partial) || partial.Points != 1 {
		t.Fatalf("got %v, want one rejected point", err)
	}
	if got := st.value(t, "other_total", 11*m); got != 7 {
		t.Errorf("the other metric of the request = %v, want 7", got)
	}
	if got := st.value(t, "c_total", 11*m); got != 2 {
		t.Errorf("c_total = %v, want 2", got)
	}
}

func reopen(t *testing.T, st *Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDeltaTotalsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	st.mustConsume(t, newRequest("service.name", "a").counter("c", delta, 0, 15*s, 2))
	reopen(t, st)
	st = openStore(t, dir)
	st.mustConsume(t, newRequest("service.name", "a").counter("c", delta, 15*s, 30*s, 3))
	wantSamples(t, st, "c_total", map[time.Duration]float64{0: 0, 15 * s: 2, 30 * s: 5})
}

// The checkpoint alone keeps a total whose samples are gone, and the database
// alone one that no checkpoint has seen.
func TestDeltaTotalsComeFromCheckpointAndDatabase(t *testing.T) {
	for name, remove := range map[string]string{"checkpoint only": "tsdb", "database only": "deltas.bin"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st := openStore(t, dir)
			st.mustConsume(t, newRequest().counter("c", delta, 0, 15*s, 2))
			addHistogram(t, st, 15*s)
			reopen(t, st)
			if err := os.RemoveAll(filepath.Join(dir, remove)); err != nil {
				t.Fatal(err)
			}
			st = openStore(t, dir)
			st.mustConsume(t, newRequest().counter("c", delta, 15*s, 30*s, 3))
			addHistogram(t, st, 30*s)
			if got := st.value(t, "c_total", 30*s); got != 5 {
				t.Errorf("c_total = %v, want 5", got)
			}
			if got := st.value(t, "histogram_count(h_seconds)", 30*s); got != 8 {
				t.Errorf("histogram_count = %v, want 8", got)
			}
			if got := st.value(t, "histogram_sum(h_seconds)", 30*s); got != 20 {
				t.Errorf("histogram_sum = %v, want 20", got)
			}
		})
	}
}

// addHistogram sends a delta exponential histogram of 4 observations.
func addHistogram(t *testing.T, st *Store, end time.Duration) {
	t.Helper()
	r := newRequest()
	h := r.metric("h", "s").SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(delta)
	p := h.DataPoints().AppendEmpty()
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(t0.Add(end - 15*s)))
	p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(end)))
	p.SetScale(2)
	p.SetCount(4)
	p.SetSum(10)
	p.Positive().SetOffset(3)
	p.Positive().BucketCounts().FromRaw([]uint64{1, 2, 1})
	st.mustConsume(t, r)
}

func TestDeltaClassicHistogram(t *testing.T) {
	st := openStore(t, t.TempDir())
	for i := range 3 {
		r := newRequest()
		h := r.metric("d", "s").SetEmptyHistogram()
		h.SetAggregationTemporality(delta)
		p := h.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(t0.Add(time.Duration(i) * 15 * s)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(t0.Add(time.Duration(i+1) * 15 * s)))
		p.SetCount(4)
		p.SetSum(10)
		p.ExplicitBounds().FromRaw([]float64{1, 5})
		p.BucketCounts().FromRaw([]uint64{1, 2, 1})
		st.mustConsume(t, r)
	}
	for expr, want := range map[string]float64{
		"d_seconds_count": 12, "d_seconds_sum": 30, `d_seconds_bucket{le="1"}`: 3, `d_seconds_bucket{le="5"}`: 9, `d_seconds_bucket{le="+Inf"}`: 12,
	} {
		if got := st.value(t, expr, 45*s); got != want {
			t.Errorf("%s = %v, want %v", expr, got, want)
		}
	}
	if got := st.metadata.all["d_seconds"].Type; got != "histogram" {
		t.Errorf("type of d_seconds = %q, want histogram", got)
	}
}

func TestDeltaCheckpointDamageIsToldAndSurvived(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	st.mustConsume(t, newRequest().counter("c", delta, 0, 15*s, 2))
	reopen(t, st)
	path := filepath.Join(dir, "deltas.bin")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		damaged := append([]byte(nil), data...)
		damaged[i] ^= 0x55
		d := newDeltas(st)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.load(path, 0); !errors.Is(err, errDamaged) {
			t.Fatalf("byte %d changed: got %v, want %v", i, err, errDamaged)
		}
		if d.count != 0 {
			t.Fatalf("byte %d changed: %d totals taken over", i, d.count)
		}
	}
	st = openStore(t, dir)
	st.mustConsume(t, newRequest().counter("c", delta, 15*s, 30*s, 3))
	if got := st.value(t, "c_total", 30*s); got != 5 {
		t.Errorf("c_total = %v, want 5", got)
	}
}
