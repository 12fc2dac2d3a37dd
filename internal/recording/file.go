package recording

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"fairlead.dev/fairlead/internal/prom"
)

// maxBytes bounds a recording, unpacked: a parser needs it in memory.
const maxBytes = 4 << 30

// openFile reads an OpenMetrics file with timestamps.
func openFile(path string) (*Recording, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", path, err)
	}
	return &Recording{Backend: m, from: time.UnixMilli(m.from), to: time.UnixMilli(m.to), series: len(m.series), samples: m.samples}, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	size := int64(0)
	switch head, _ := r.(*bufio.Reader).Peek(4); {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r = z
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		defer z.Close()
		r = z
	default:
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
	}
	buf := bytes.NewBuffer(make([]byte, 0, min(size, maxBytes)+512))
	if _, err := io.Copy(buf, io.LimitReader(r, maxBytes+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if buf.Len() > maxBytes {
		return nil, fmt.Errorf("%s: more than %d GiB of text; make TSDB blocks of it (promtool tsdb create-blocks-from openmetrics) and give their directory", path, maxBytes>>30)
	}
	return buf.Bytes(), nil
}

// memory holds a parsed recording.
type memory struct {
	series   []prom.Series
	from, to int64
	samples  int
}

// parse reads OpenMetrics text. Samples of a series may come in any order; two
// with one time and different values are an error.
func parse(text []byte) (*memory, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("the file is empty")
	}
	m := &memory{}
	index := map[string]int{} // a series' text, as written
	byLabels := map[uint64][]int{}
	p := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped())
	sample := 0
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, explain(err, text, sample)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		sample++
		written, at, v := p.Series()
		if at == nil {
			return nil, fmt.Errorf("sample %d, %s: it has no timestamp; a recording needs one for every sample, in seconds", sample, short(written))
		}
		i, ok := index[string(written)]
		if !ok {
			var l labels.Labels
			p.Labels(&l)
			if i, ok = find(m.series, byLabels[l.Hash()], l); !ok {
				i = len(m.series)
				m.series = append(m.series, prom.Series{Labels: l})
				byLabels[l.Hash()] = append(byLabels[l.Hash()], i)
			}
			index[string(written)] = i
		}
		if value.IsStaleNaN(v) {
			continue
		}
		m.series[i].Points = append(m.series[i].Points, prom.Point{T: *at, V: v})
	}
	return m, m.finish()
}

func find(series []prom.Series, candidates []int, l labels.Labels) (int, bool) {
	for _, i := range candidates {
		if labels.Equal(series[i].Labels, l) {
			return i, true
		}
	}
	return 0, false
}

// explain adds what usually is wrong to the parser's message.
func explain(err error, text []byte, sample int) error {
	tail := bytes.TrimSpace(text[max(0, len(text)-64):])
	switch {
	case strings.Contains(err.Error(), "does not end with # EOF") || !bytes.HasSuffix(tail, []byte("# EOF")):
		return fmt.Errorf("after sample %d: %w (OpenMetrics text ends with the line \"# EOF\"; is the file cut off, or in Prometheus' own text format?)", sample, err)
	default:
		return fmt.Errorf("after sample %d: %w", sample, err)
	}
}

func short(series []byte) string {
	if len(series) > 120 {
		return string(series[:120]) + "..."
	}
	return string(series)
}

// latest is the year 2200: a timestamp beyond it is in milliseconds.
const latest = 7_258_118_400_000

// finish sorts every series by time and checks it.
func (m *memory) finish() error {
	first := true
	for i := range m.series {
		s := &m.series[i]
		if len(s.Points) == 0 {
			continue
		}
		before := func(a, b int) bool { return s.Points[a].T < s.Points[b].T }
		if !sort.SliceIsSorted(s.Points, before) {
			sort.SliceStable(s.Points, before)
		}
		kept := s.Points[:1]
		for _, p := range s.Points[1:] {
			last := kept[len(kept)-1]
			if p.T != last.T {
				kept = append(kept, p)
			} else if p.V != last.V {
				return fmt.Errorf("series %s has two values at %s: %g and %g", s.Labels, time.UnixMilli(p.T).UTC().Format(time.RFC3339), last.V, p.V)
			}
		}
		s.Points = kept
		m.samples += len(kept)
		if t := kept[len(kept)-1].T; t > latest {
			return fmt.Errorf("series %s has a sample at %d s: OpenMetrics timestamps are seconds; these look like milliseconds", s.Labels, t/1000)
		}
		if first || kept[0].T < m.from {
			m.from = kept[0].T
		}
		if first || kept[len(kept)-1].T > m.to {
			m.to = kept[len(kept)-1].T
		}
		first = false
	}
	if first {
		return errors.New("the file has no samples")
	}
	return nil
}

// Select returns the points in (from, to]; they share the recording's memory
// and must not be written.
func (m *memory) Select(ctx context.Context, match prom.Matchers, from, to time.Time) (prom.Result, error) {
	var r prom.Result
	if err := ctx.Err(); err != nil {
		return r, err
	}
	for i := range m.series {
		s := &m.series[i]
		if !match.Matches(s.Labels) {
			continue
		}
		lo := sort.Search(len(s.Points), func(k int) bool { return s.Points[k].T > from.UnixMilli() })
		hi := sort.Search(len(s.Points), func(k int) bool { return s.Points[k].T > to.UnixMilli() })
		if lo < hi {
			r.Series = append(r.Series, prom.Series{Labels: s.Labels, Points: s.Points[lo:hi:hi]})
		}
	}
	return r, nil
}

// Exists looks for one sample.
func (m *memory) Exists(ctx context.Context, match prom.Matchers, from, to time.Time) (bool, error) {
	r, err := m.Select(ctx, match, from, to)
	return len(r.Series) > 0, err
}
