package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ErrOverlap says that an interval starts before the last one ended: its
// increments would be used twice, and evidence would be invented.
var ErrOverlap = errors.New("interval overlaps the one before it")

// Options are what a Judge says about its subject beside the figures.
type Options struct {
	Service       string
	Version       string
	StableVersion string
	// Queries are Samples.Queries, copied into the checks.
	Queries map[string]string
}

// digest is a short digest for evidence.
func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:8])
}

// checkInterval refuses intervals that cannot be folded after last.
func checkInterval(iv *Interval, last time.Time) error {
	if !iv.End.After(iv.Start) {
		return fmt.Errorf("interval %s to %s: it does not end after it starts", iv.Start.Format(time.RFC3339), iv.End.Format(time.RFC3339))
	}
	if iv.Start.Before(last) {
		return fmt.Errorf("interval %s to %s, last end %s: %w", iv.Start.Format(time.RFC3339), iv.End.Format(time.RFC3339), last.Format(time.RFC3339), ErrOverlap)
	}
	return nil
}
