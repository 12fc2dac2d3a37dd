package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

// maxFamilies bounds the catalogue: ten times the metric names of a large
// Prometheus.
const maxFamilies = 50_000

// familyStore is the catalogue of metric families: type, unit and help by
// name. The database keeps no metadata of its own; this file beside it does.
type familyStore struct {
	path  string
	mu    sync.RWMutex
	all   map[string]metadata.Metadata
	dirty bool
}

type familyRecord struct {
	Type string `json:"type"`
	Unit string `json:"unit,omitempty"`
	Help string `json:"help,omitempty"`
}

func openFamilies(path string) (*familyStore, error) {
	f := &familyStore{path: path, all: map[string]metadata.Metadata{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read metric families: %w", err)
	}
	var records map[string]familyRecord
	if err := json.Unmarshal(data, &records); err != nil {
		// It is a catalogue that the next samples fill again.
		f.dirty = true
		return f, nil
	}
	for name, r := range records {
		f.all[name] = metadata.Metadata{Type: metricType(r.Type), Unit: r.Unit, Help: r.Help}
	}
	return f, nil
}

func (f *familyStore) note(name string, m metadata.Metadata) {
	f.mu.RLock()
	old, ok := f.all[name]
	full := len(f.all) >= maxFamilies
	f.mu.RUnlock()
	if old == m && ok || m.IsEmpty() || full && !ok || name == "" {
		return
	}
	f.mu.Lock()
	f.all[name], f.dirty = m, true
	f.mu.Unlock()
}

func (f *familyStore) save() error {
	f.mu.Lock()
	if !f.dirty {
		f.mu.Unlock()
		return nil
	}
	records := make(map[string]familyRecord, len(f.all))
	for name, m := range f.all {
		records[name] = familyRecord{Type: string(m.Type), Unit: m.Unit, Help: m.Help}
	}
	f.dirty = false
	f.mu.Unlock()
	data, err := json.Marshal(records)
	if err != nil {
		return err
	}
	tmp := f.path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("save metric families: %w", err)
	}
	return os.Rename(tmp, f.path)
}

// serve answers Prometheus' /metadata from the catalogue: the library's own
// answers from scrape targets, of which there are none.
func (f *familyStore) serve(w http.ResponseWriter, r *http.Request) {
	limit := -1
	for _, name := range []string{"limit", "limit_per_metric"} {
		text := r.FormValue(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]any{"status": "error", "errorType": "bad_data", "error": name + " must be a number"})
			return
		}
		if name == "limit" {
			limit = n
		}
	}
	type entry struct {
		Type string `json:"type"`
		Unit string `json:"unit"`
		Help string `json:"help"`
	}
	out := map[string][]entry{}
	f.mu.RLock()
	for name, m := range f.all {
		if want := r.FormValue("metric"); want != "" && want != name {
			continue
		}
		if limit >= 0 && len(out) >= limit {
			break
		}
		out[name] = []entry{{string(m.Type), m.Unit, m.Help}}
	}
	f.mu.RUnlock()
	writeJSON(w, http.StatusOK, map[string]any{"status": "success", "data": out})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone; nothing is left to do
}

func metricType(s string) model.MetricType { return model.MetricType(s) }
