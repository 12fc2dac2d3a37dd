package kube

import (
	"net/http"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	asked := time.Date(2026, 3, 1, 12, 0, 0, 900_000_000, time.UTC)
	answered := asked.Add(30 * time.Second) // it had to wait
	for _, c := range []struct {
		reason string
		date   time.Time
		want   time.Duration
	}{
		{"the same clock", asked.Add(10 * time.Second), 0},
		{"the second that had begun", asked.Truncate(time.Second), 0},
		{"a second behind", asked.Add(-time.Second), 0},
		{"a second ahead", answered.Add(time.Second), 0},
		{"five minutes ahead", answered.Add(5*time.Minute + 100*time.Millisecond), 5*time.Minute + 100*time.Millisecond},
		{"five minutes behind", asked.Add(-5*time.Minute - 900*time.Millisecond), -5*time.Minute - 900*time.Millisecond},
	} {
		var k clock
		k.compare(c.date.Format(http.TimeFormat), asked, answered)
		if got := time.Duration(k.ahead.Load()); got != c.want {
			t.Errorf("%s: %s ahead, want %s", c.reason, got, c.want)
		}
	}
	k := clock{}
	k.ahead.Store(7)
	k.compare("no date", asked, answered)
	if k.ahead.Load() != 7 {
		t.Error("an answer without a date said something")
	}
}
