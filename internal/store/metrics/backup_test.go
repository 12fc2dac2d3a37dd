package metrics

import (
	"path/filepath"
	"testing"
	"time"
)

// TestBackupHasSamplesThatCameOutOfOrder backs up a sample of the head and one
// that came an hour late.
func TestBackupHasSamplesThatCameOutOfOrder(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.mustConsume(t, newRequest("service.name", "shop").counter("late", cumulative, -1, 90*time.Minute, 7))
	s.mustConsume(t, newRequest("service.name", "shop").counter("late", cumulative, -1, 30*time.Minute, 3))
	dir := filepath.Join(t.TempDir(), "copy")
	if err := s.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	restored := openStore(t, dir)
	for at, want := range map[time.Duration]float64{30 * time.Minute: 3, 90 * time.Minute: 7} {
		for name, store := range map[string]*Store{"the store": s, "the copy": restored} {
			if got := store.value(t, "late_total", at); got != want {
				t.Errorf("%s at %s: %g, want %g", name, at, got, want)
			}
		}
	}
}
