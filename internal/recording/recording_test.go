package recording_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

// small is a rollout of a few minutes.
func small() []prom.Series {
	return simulate.Rollout(simulate.Options{Seed: 1, History: 5 * time.Minute, Rate: 20, Routes: 2, Pods: 2,
		Steps: []simulate.Step{{Weight: 0.2, Length: 2 * time.Minute, Pods: 1}}})
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// all reads everything that a recording holds of the rollout's series.
func all(t *testing.T, r *recording.Recording) []prom.Series {
	t.Helper()
	from, to := r.Range()
	match := prom.Matchers{labels.MustNewMatcher(labels.MatchEqual, "service_name", "shop")}
	got, err := r.Select(context.Background(), match, from.Add(-time.Millisecond), to)
	if err != nil {
		t.Fatal(err)
	}
	return got.Series
}

var compare = []cmp.Option{
	cmpopts.SortSlices(func(a, b prom.Series) bool { return a.Labels.String() < b.Labels.String() }),
	cmp.Comparer(func(a, b labels.Labels) bool { return labels.Equal(a, b) }),
}

func TestFileRoundTrip(t *testing.T) {
	want := small()
	var plain bytes.Buffer
	if err := recording.Write(&plain, want); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(plain.Bytes())
	z.Close()
	for name, text := range map[string][]byte{"plain.om": plain.Bytes(), "packed.om.gz": packed.Bytes()} {
		t.Run(name, func(t *testing.T) {
			r, err := recording.Open(write(t, name, text))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if diff := cmp.Diff(want, all(t, r), compare...); diff != "" {
				t.Errorf("read is not what was written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTSDBDirectory(t *testing.T) {
	want := small()
	dir := t.TempDir()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(context.Background())
	for _, s := range want {
		for _, p := range s.Points {
			if _, err := app.Append(0, s.Labels, p.T, p.V); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if diff := cmp.Diff(want, all(t, r), compare...); diff != "" {
		t.Errorf("read is not what was stored (-want +got):\n%s", diff)
	}
	// The questions after the first are answered, too.
	if diff := cmp.Diff(want, all(t, r), compare...); diff != "" {
		t.Error("a second question is answered otherwise")
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":                {"", "the file is empty"},
		"cut off":              {"m{a=\"1\"} 1 1700000000\n", "# EOF"},
		"no samples":           {"# TYPE m counter\n# EOF\n", "no samples"},
		"no timestamp":         {"m{a=\"1\"} 1\n# EOF\n", "no timestamp"},
		"milliseconds":         {"m{a=\"1\"} 1 1700000000000\n# EOF\n", "look like milliseconds"},
		"two values":           {"m{a=\"1\"} 1 1700000000\nm{a=\"1\"} 2 1700000000\n# EOF\n", "two values"},
		"not OpenMetrics":      {"<html>\n# EOF\n", "after sample 0"},
		"broken in the middle": {"m{a=\"1\"} 1 1700000000\nm{a=\"1\" 2\n# EOF\n", "after sample 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := recording.Open(write(t, "x.om", []byte(tc.text)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	t.Run("no TSDB", func(t *testing.T) {
		if _, err := recording.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "neither TSDB blocks") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSamplesInAnyOrder(t *testing.T) {
	r, err := recording.Open(write(t, "x.om", []byte("m{service_name=\"shop\"} 2 20\nm{service_name=\"shop\"} 1 10\nm{service_name=\"shop\"} 1 10\nm{service_name=\"shop\"} NaN 30\n# EOF\n")))
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, r)
	if len(got) != 1 || len(got[0].Points) != 3 || got[0].Points[0].T != 10_000 || got[0].Points[2].V == got[0].Points[2].V {
		t.Errorf("points %+v, want 1, 2 and NaN at 10, 20 and 30 s", got)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("# TYPE m counter\nm_total{a=\"1\"} 1 1700000000\n# EOF\n"))
	f.Add([]byte("m{le=\"+Inf\"} NaN 1.5\n# EOF"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "x.om")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := recording.Open(path); err == nil {
			r.Close()
		}
	})
}
