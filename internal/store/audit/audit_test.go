package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEntriesAreKeptNewestFirst(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		if err := s.Add(t.Context(), Entry{At: at.Add(time.Duration(i) * time.Minute), Who: "ci", Action: "alert.test", Subject: fmt.Sprint(i), Error: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.List(t.Context(), at.Add(2*time.Minute), 1)
	want := []Entry{{At: at.Add(time.Minute), Who: "ci", Action: "alert.test", Subject: "1", Error: "x"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
