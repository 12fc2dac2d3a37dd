package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead.dev/fairlead/internal/store/segment"
)

// A file is named after the UTC day on which its records were received, and a
// number that rises when a day needs several.
const (
	dayLayout = "2006-01-02"
	suffix    = ".db"
)

// file is a segment with its name and its readers counted, so that it is
// closed after the last of them.
type file struct {
	*segment.File
	name      string
	day       time.Time
	seq       int
	users     sync.WaitGroup
	suspected bool // a query found it damaged; under Store.mu
}

// Aside names a file that was set aside, and why.
type Aside struct {
	File   string // the name it has now
	Reason string
}

func fileName(day time.Time, seq int) string {
	return fmt.Sprintf("%s-%03d%s", day.Format(dayLayout), seq, suffix)
}

// parseName reads a name that fileName made.
func parseName(name string) (day time.Time, seq int, ok bool) {
	base, isDB := strings.CutSuffix(name, suffix)
	if !isDB || len(base) < len(dayLayout)+2 {
		return day, 0, false
	}
	day, err := time.Parse(dayLayout, base[:len(dayLayout)])
	if err != nil {
		return day, 0, false
	}
	if _, err := fmt.Sscanf(base[len(dayLayout):], "-%d", &seq); err != nil {
		return day, 0, false
	}
	return day, seq, fileName(day, seq) == name
}

func (s *Store) openFiles(ctx context.Context) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read directory of the trace and log store: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), asideSuffix) {
			s.aside = append(s.aside, Aside{File: e.Name(), Reason: "set aside by an earlier run"})
		}
		day, seq, ok := parseName(e.Name())
		if !ok {
			continue
		}
		seg, err := segment.Open(ctx, filepath.Join(s.dir, e.Name()), s.cache)
		if errors.Is(err, segment.ErrCorrupt) {
			if err := s.setAside(e.Name(), err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		s.files = append(s.files, &file{File: seg, name: e.Name(), day: day, seq: seq})
	}
	slices.SortFunc(s.files, func(a, b *file) int { return cmp.Compare(a.name, b.name) })
	return nil
}

const asideSuffix = ".corrupt"

// setAside renames a file, and what SQLite keeps beside it, out of the way.
func (s *Store) setAside(name string, reason error) error {
	to := name + asideSuffix
	for n := 1; ; n++ {
		if _, err := os.Lstat(filepath.Join(s.dir, to)); errors.Is(err, os.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s.%d%s", name, n, asideSuffix)
	}
	if err := os.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, to)); err != nil {
		return fmt.Errorf("set corrupt file %s aside: %w", name, err)
	}
	for _, sfx := range []string{"-wal", "-shm"} {
		err := os.Rename(filepath.Join(s.dir, name+sfx), filepath.Join(s.dir, to+sfx))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set corrupt file %s aside: %w", name+sfx, err)
		}
	}
	s.o.Log.Error("set a corrupt file of the trace and log store aside; the others are served", "file", name, "now", to, "error", reason)
	s.mu.Lock()
	s.aside = append(s.aside, Aside{File: to, Reason: reason.Error()})
	s.mu.Unlock()
	return nil
}

// use returns the files, newest first, and what must be called after use.
func (s *Store) use() ([]*file, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	files := slices.Clone(s.files)
	slices.Reverse(files)
	for _, f := range files {
		f.users.Add(1)
	}
	return files, func() {
		for _, f := range files {
			f.users.Done()
		}
	}, nil
}

// current returns the file to write to, opening a new one when the day has
// changed or the last one is full. It is in use until the caller calls
// users.Done. Only the writer calls it.
func (s *Store) current(ctx context.Context) (*file, error) {
	now := s.o.Now().UTC()
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	seq := 0
	s.mu.Lock()
	if n := len(s.files); n > 0 {
		last := s.files[n-1]
		// A clock that went back goes on with the newest file.
		if !day.After(last.day) {
			if last.Bytes() < s.o.fileBytes && last.ResourceCount() < maxResources {
				last.users.Add(1)
				s.mu.Unlock()
				return last, nil
			}
			day, seq = last.day, last.seq+1
		}
	}
	for _, a := range s.aside {
		// Never under the name of a file that was set aside: its number is used.
		for strings.HasPrefix(a.File, fileName(day, seq)) {
			seq++
		}
	}
	s.mu.Unlock()
	name := fileName(day, seq)
	seg, err := segment.Open(ctx, filepath.Join(s.dir, name), s.cache)
	if err != nil {
		return nil, err
	}
	f := &file{File: seg, name: name, day: day, seq: seq}
	f.users.Add(1)
	s.mu.Lock()
	s.files = append(s.files, f)
	s.mu.Unlock()
	return f, nil
}

// detach takes a file out of the list and returns whether it was there.
func (s *Store) detach(f *file) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.files, f)
	if i < 0 {
		return false
	}
	s.files = slices.Delete(s.files, i, i+1)
	return true
}

func (s *Store) closeFiles() error {
	s.mu.Lock()
	files := s.files
	s.files = nil
	s.mu.Unlock()
	var errs []error
	for _, f := range files {
		f.users.Wait()
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
