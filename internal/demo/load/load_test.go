package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRunSendsWhatItIsTold(t *testing.T) {
	var first, second atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			first.Add(1)
			return
		}
		second.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	stats, err := Run(context.Background(), Options{Target: s.URL, Paths: []string{"/a", "/b"}, Rate: 2000, Requests: 300})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Sent+stats.LeftOut != 300 || stats.Sent != first.Load()+second.Load() || stats.Failed != second.Load() {
		t.Errorf("stats %+v, yet the server saw %d and %d", stats, first.Load(), second.Load())
	}
	if first.Load() <= second.Load() {
		t.Errorf("%d requests of the first path, %d of the second: the first should have more", first.Load(), second.Load())
	}
}

func TestRunRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"only a service on this machine": {Target: "http://192.0.2.1", Paths: []string{"/"}, Rate: 1},
		"paths":                          {Target: "http://127.0.0.1", Rate: 1},
		"rate":                           {Target: "http://127.0.0.1", Paths: []string{"/"}, Rate: 1e9},
	} {
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error with %q", o, err, name)
		}
	}
}
