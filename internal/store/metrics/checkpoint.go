package metrics

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// The checkpoint file holds the running totals:
//
//	"FLDELTA1", time of writing in ms, then per series: label count, name and
//	value of each, time of the newest sample, kind (0 number, 1 histogram) and
//	the total; at the end a label count of 0 and the CRC-32C of all before it.
//
// Integers are unsigned varints, numbers 8 bytes little-endian.
const checkpointMagic = "FLDELTA1"

const (
	// checkpointInterval is how often the totals are written. The database
	// bridges the time since: it keeps at least an hour of samples in its head.
	checkpointInterval = 10 * time.Minute
	// checkpointMargin is how far before the checkpoint the database is read
	// again: two ranges of the head, beside the time that samples may be late.
	checkpointMargin = 4 * time.Hour
	// maxCheckpointString and maxCheckpointLabels bound what a damaged file
	// can make us allocate.
	maxCheckpointString = 1 << 20
	maxCheckpointLabels = 1 << 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// save writes the totals to path. Series idle for longer than keep are
// forgotten: their samples are gone from the database, so that they may start
// at 0 again. The caller holds mu.
func (d *deltas) save(path string, now time.Time, keep time.Duration) error {
	if !d.dirty {
		return nil
	}
	d.forget(now.Add(-keep).UnixMilli())
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save delta totals: %w", err)
	}
	sum := crc32.New(castagnoli)
	buf := bufio.NewWriterSize(f, 1<<16)
	w := &fieldWriter{w: io.MultiWriter(buf, sum)}
	w.raw([]byte(checkpointMagic))
	w.uint(uint64(now.UnixMilli()))
	for _, s := range d.streams {
		for ; s != nil; s = s.next {
			w.stream(s)
		}
	}
	w.uint(0)
	w.w = buf
	w.raw(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	if err := errors.Join(w.err, buf.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("save delta totals: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("save delta totals: %w", err)
	}
	d.dirty = false
	return nil
}

func (d *deltas) forget(before int64) {
	for hash, s := range d.streams {
		var kept *stream
		for s != nil {
			next := s.next
			if s.last >= before {
				s.next, kept = kept, s
			} else {
				d.count--
			}
			s = next
		}
		if kept == nil {
			delete(d.streams, hash)
		} else {
			d.streams[hash] = kept
		}
	}
	d.store.stats.streams.Set(float64(d.count))
}

// load reads the totals from path and notes from when on the database is newer.
// Without the file, or with a damaged one, the database alone is read: totals
// whose samples retention has removed then start at 0.
func (d *deltas) load(path string, late time.Duration) error {
	d.seeds.since = math.MinInt64
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read delta totals: %w", err)
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	r := &fieldReader{r: bufio.NewReaderSize(f, 1<<16), sum: sum}
	if string(r.raw(len(checkpointMagic))) != checkpointMagic {
		return errCheckpoint(path, r.err)
	}
	written := int64(r.uint())
	var all []*stream
	for {
		s := r.stream()
		if s == nil {
			break
		}
		all = append(all, s)
	}
	want := sum.Sum32()
	if got := r.raw(4); r.err != nil || binary.LittleEndian.Uint32(got) != want {
		return errCheckpoint(path, r.err)
	}
	for _, s := range all {
		d.insert(s.labels.Hash(), s)
	}
	d.seeds.since = written - late.Milliseconds() - checkpointMargin.Milliseconds()
	return nil
}

var errDamaged = errors.New("the file is damaged")

func errCheckpoint(path string, err error) error {
	return fmt.Errorf("read delta totals %s: %w", path, errors.Join(errDamaged, err))
}

type fieldWriter struct {
	w   io.Writer
	err error
	buf [binary.MaxVarintLen64]byte
}

func (w *fieldWriter) raw(p []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
}
func (w *fieldWriter) uint(v uint64) { w.raw(w.buf[:binary.PutUvarint(w.buf[:], v)]) }
func (w *fieldWriter) float(v float64) {
	w.raw(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
}
func (w *fieldWriter) string(s string) { w.uint(uint64(len(s))); w.raw([]byte(s)) }
func (w *fieldWriter) floats(v []float64) {
	w.uint(uint64(len(v)))
	for _, f := range v {
		w.float(f)
	}
}

func (w *fieldWriter) spans(spans []histogram.Span) {
	w.uint(uint64(len(spans)))
	for _, s := range spans {
		w.uint(uint64(uint32(s.Offset)))
		w.uint(uint64(s.Length))
	}
}

func (w *fieldWriter) stream(s *stream) {
	if s.last == 0 {
		return // nothing was ever committed
	}
	w.uint(uint64(s.labels.Len()))
	s.labels.Range(func(l labels.Label) {
		w.string(l.Name)
		w.string(l.Value)
	})
	w.uint(uint64(s.last))
	if s.hist == nil {
		w.uint(0)
		w.float(s.value)
		return
	}
	h := s.hist
	w.uint(1)
	w.uint(uint64(uint32(h.Schema)))
	for _, v := range []float64{h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum} {
		w.float(v)
	}
	w.spans(h.PositiveSpans)
	w.floats(h.PositiveBuckets)
	w.spans(h.NegativeSpans)
	w.floats(h.NegativeBuckets)
	w.floats(h.CustomValues)
}

type fieldReader struct {
	r   *bufio.Reader
	sum io.Writer
	err error
}

func (r *fieldReader) raw(n int) []byte {
	p := make([]byte, n)
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, p)
		_, _ = r.sum.Write(p) // a hash does not fail
	}
	return p
}

func (r *fieldReader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.raw(1)[0]
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.err = errDamaged
	return 0
}

func (r *fieldReader) length(limit uint64) int {
	n := r.uint()
	if n > limit {
		r.err = errDamaged
		return 0
	}
	return int(n)
}

func (r *fieldReader) float() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(r.raw(8)))
}

func (r *fieldReader) string() string { return string(r.raw(r.length(maxCheckpointString))) }

func (r *fieldReader) floats() []float64 {
	out := make([]float64, r.length(maxCheckpointLabels))
	for i := range out {
		out[i] = r.float()
	}
	return out
}

func (r *fieldReader) spans() []histogram.Span {
	out := make([]histogram.Span, r.length(maxCheckpointLabels))
	for i := range out {
		out[i] = histogram.Span{Offset: int32(uint32(r.uint())), Length: uint32(r.uint())}
	}
	return out
}

// stream returns the next series, nil at the end or after an error.
func (r *fieldReader) stream() *stream {
	n := r.length(maxCheckpointLabels)
	if n == 0 || r.err != nil {
		return nil
	}
	b := labels.NewScratchBuilder(n)
	for range n {
		name := r.string()
		b.Add(name, r.string())
	}
	s := &stream{labels: b.Labels()}
	s.last = int64(r.uint())
	if r.uint() == 0 {
		s.value = r.float()
	} else {
		h := &histogram.FloatHistogram{Schema: int32(uint32(r.uint()))}
		h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum = r.float(), r.float(), r.float(), r.float()
		h.PositiveSpans, h.PositiveBuckets = r.spans(), r.floats()
		h.NegativeSpans, h.NegativeBuckets = r.spans(), r.floats()
		h.CustomValues = r.floats()
		if len(h.CustomValues) == 0 {
			h.CustomValues = nil
		}
		s.hist = h
	}
	if r.err != nil {
		return nil
	}
	return s
}
