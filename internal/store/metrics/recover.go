package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/tsdb"
)

// Aside is a part of the database that could not be read when the store was
// opened. It was moved, not deleted; everything else is served.
type Aside struct {
	Path   string // where it is now
	Reason string
	// Salvaged counts the samples read back from behind the damage.
	Salvaged int
}

// recovery opens a database of which parts may be damaged.
type recovery struct {
	dir    string // of the store
	logger *slog.Logger
	now    time.Time
	aside  []Aside
}

const (
	asideDir  = "corrupt"    // holds what was set aside
	rescueDir = "wal-rescue" // links to the log while it is being opened
)

// open opens the database. The library itself refuses to start with one
// damaged block, and deletes what of the log lies behind a damaged record; here
// blocks are moved out of its way and the log is linked first, so that nothing
// is lost and what lies behind can be read back.
func (r *recovery) open(registry *prometheus.Registry, o *tsdb.Options) (*tsdb.DB, error) {
	dir := filepath.Join(r.dir, "tsdb")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := r.setBlocksAside(dir); err != nil {
		return nil, err
	}
	rescue := filepath.Join(r.dir, rescueDir)
	if err := linkTree(filepath.Join(dir, "wal"), rescue); err != nil {
		return nil, fmt.Errorf("prepare the recovery of the log: %w", err)
	}
	defer func() { _ = os.RemoveAll(rescue) }() // in the way of nothing; the next start removes it
	db, err := tsdb.Open(dir, r.logger, registry, o, nil)
	if err != nil && !isLocked(err) {
		// Nothing in the log or the head's files can be made sense of: start
		// without them and read back what can be.
		r.logger.Error("the head of the database cannot be opened; starting without it", "error", err)
		if asideErr := r.setHeadAside(dir, err); asideErr != nil {
			return nil, errors.Join(err, asideErr)
		}
		if db, err = tsdb.Open(dir, r.logger, prometheus.NewRegistry(), o, nil); err != nil {
			return nil, err
		}
		return db, r.salvage(db, rescue, firstDamage(rescue))
	}
	if err != nil {
		return nil, err
	}
	if !repaired(registry) {
		return db, nil
	}
	damage := firstDamage(rescue)
	if damage == nil {
		return db, nil // it was in the log of late samples, which has a copy in the log
	}
	if damage.tornTail {
		r.logger.Info("the last record of the log was not complete, as after a kill; it was never acknowledged", "segment", damage.file)
		return db, nil
	}
	return db, r.keepLog(db, rescue, damage)
}

// repaired reports whether the library found damage in a log while it opened.
// Reading the log once more on every start would double the time to ready.
func repaired(registry *prometheus.Registry) bool {
	families, err := registry.Gather()
	if err != nil {
		return true // look for ourselves
	}
	for _, f := range families {
		if f.GetName() == "prometheus_tsdb_wal_corruptions_total" {
			return f.GetMetric()[0].GetCounter().GetValue() > 0
		}
	}
	return true
}

// isLocked reports whether another process has the database open.
func isLocked(err error) bool { return strings.Contains(err.Error(), "lock DB directory") }

// setBlocksAside moves blocks that do not open.
func (r *recovery) setBlocksAside(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := ulid.ParseStrict(e.Name()); err != nil || !e.IsDir() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		block, err := tsdb.OpenBlock(r.logger, path, nil, nil)
		if err == nil {
			if err := block.Close(); err != nil {
				return err
			}
			continue
		}
		if err := r.move(path, "block-"+e.Name(), err.Error()); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) setHeadAside(dir string, cause error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		n := e.Name()
		if n != "wal" && n != "wbl" && n != "chunks_head" && !strings.HasPrefix(n, "chunk_snapshot.") {
			continue
		}
		if err := r.move(filepath.Join(dir, n), r.stamp()+"-"+n, cause.Error()); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) stamp() string { return r.now.UTC().Format("20060102T150405Z") }

func (r *recovery) move(from, name, reason string) error {
	to := filepath.Join(r.dir, asideDir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("set %s aside: %w", from, err)
	}
	r.aside = append(r.aside, Aside{Path: to, Reason: reason})
	r.logger.Error("damaged and set aside; the rest is served", "path", to, "reason", reason)
	return nil
}

// keepLog keeps the log as it was before the library repaired it, and reads
// back what lies behind the damage.
func (r *recovery) keepLog(db *tsdb.DB, rescue string, d *damage) error {
	if err := r.move(rescue, r.stamp()+"-wal", fmt.Sprintf("segment %s: %v", d.file, d.err)); err != nil {
		return err
	}
	return r.salvage(db, r.aside[len(r.aside)-1].Path, d)
}

func (r *recovery) salvage(db *tsdb.DB, wal string, d *damage) error {
	from := 0
	if d != nil {
		from = d.segment
	}
	n, err := salvageSegments(db, wal, from)
	if len(r.aside) > 0 {
		r.aside[len(r.aside)-1].Salvaged = n
	}
	if n > 0 {
		r.logger.Warn("read back samples from behind the damage", "samples", n)
	}
	return err
}

// linkTree makes to a copy of the directory from by hard links, replacing what
// was there. Files that are deleted or replaced in from stay in to.
func linkTree(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new store
	}
	return err
}

// segments returns the numbers of the log's segments in dir, ascending: names
// are eight digits, so the directory's order is theirs.
func segments(dir string) []int {
	entries, _ := os.ReadDir(dir) // no directory, no segments
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && !e.IsDir() {
			out = append(out, n)
		}
	}
	return out
}
