package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// times are what one operation took, again and again: by the clock, which other
// programs on the machine slow, and of the processor, which they do not.
type times struct {
	wall []time.Duration
	cpu  time.Duration
}

func (t *times) measure(f func() error) error {
	began, before := time.Now(), cpu()
	err := f()
	t.wall, t.cpu = append(t.wall, time.Since(began)), t.cpu+cpu()-before
	return err
}

func (t times) String() string {
	sorted := slices.Sorted(slices.Values(t.wall))
	at := func(q float64) time.Duration {
		return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("median %s, p95 %s of %d; processor time %s each", at(0.5), at(0.95), len(sorted), (t.cpu / time.Duration(len(sorted))).Round(100*time.Microsecond))
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
