package telemetry

import (
	"log/slog"
	"time"
)

// Options tune a Store. The zero value is useful.
type Options struct {
	// Retention is how long records are kept after they were received;
	// default 7 days. Whole files are deleted, so up to a day longer.
	Retention time.Duration
	// MaxBytes bounds the store on disk; the oldest file goes first. Default
	// 10 GiB.
	MaxBytes int64
	// MinFree is the room on the disk below which records are refused, so that
	// reads and the rest of the server go on; default 64 MiB, negative is off.
	MinFree int64
	// CacheBytes bounds the decompressed chunks kept in memory; default 16 MiB.
	CacheBytes int
	// Now is the clock that dates files; default time.Now.
	Now func() time.Time
	// Log receives what happens in the background; default slog.Default().
	Log *slog.Logger

	// fileBytes is the size at which a file is closed before its day ends.
	fileBytes int64
	// interval is how often the store looks after its files.
	interval time.Duration
}

const (
	defaultRetention  = 7 * 24 * time.Hour
	defaultMaxBytes   = 10 << 30
	defaultMinFree    = 64 << 20
	defaultCacheBytes = 16 << 20
	// A tenth of the store per file lets retention by size delete in steps of
	// a tenth; smaller files than minFileBytes would only cost look-ups.
	fileShare    = 10
	minFileBytes = 64 << 20
	// maxResources closes a file early: each distinct resource stays in memory
	// while its file is open.
	maxResources = 50_000

	defaultInterval = 2 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.fileBytes == 0 {
		o.fileBytes = max(o.MaxBytes/fileShare, minFileBytes)
	}
	if o.interval == 0 {
		o.interval = defaultInterval
	}
	return o
}
