//go:build linux || darwin || freebsd

package telemetry

import "syscall"

// freeBytes returns the room that is left for us on dir's disk; false when
// that can't be told.
func freeBytes(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true //nolint:unconvert // Bsize is 32 bits wide on some systems
}
