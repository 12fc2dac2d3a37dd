package recording

import (
	"fmt"
	"io"
	"os"
	"time"

	"fairlead.dev/fairlead/internal/prom"
)

// Recording is recorded traffic, a prom.Backend.
type Recording struct {
	prom.Backend
	closers  []io.Closer
	from, to time.Time
	series   int
	samples  int
}

// Open reads a file, or opens a TSDB directory. The error names what is wrong
// with it, for a file with the line.
func Open(path string) (*Recording, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if info.IsDir() {
		return openTSDB(path)
	}
	return openFile(path)
}

// Range is the time of the first and the last sample.
func (r *Recording) Range() (from, to time.Time) { return r.from, r.to }

// Size is the number of series and samples; of a TSDB directory it is not
// known, and 0.
func (r *Recording) Size() (series, samples int) { return r.series, r.samples }

// Close lets go of the files.
func (r *Recording) Close() error {
	var first error
	for i := len(r.closers) - 1; i >= 0; i-- {
		if err := r.closers[i].Close(); err != nil && first == nil {
			first = err
		}
	}
	r.closers = nil
	return first
}
