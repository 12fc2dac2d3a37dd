package split

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestWeights(t *testing.T) {
	count := func(n *int) *url.URL {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *n++ }))
		t.Cleanup(s.Close)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	var stable, canary int
	p := New(count(&stable), count(&canary))
	for _, percent := range []int{0, 20, 100} {
		if err := p.SetWeight(percent); err != nil {
			t.Fatal(err)
		}
		stable, canary = 0, 0
		const n = 1000
		for range n {
			p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		}
		// Five standard deviations: wrong once in a million runs.
		if off := math.Abs(float64(canary)/n - float64(percent)/100); off > 5*math.Sqrt(0.25/n) || stable+canary != n {
			t.Errorf("weight %d: %d of %d went to the canary", percent, canary, n)
		}
	}
	for _, percent := range []int{-1, 101} {
		if err := p.SetWeight(percent); err == nil {
			t.Errorf("weight %d was accepted", percent)
		}
	}
}

func TestBackendThatIsAway(t *testing.T) {
	gone := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	w := httptest.NewRecorder()
	New(gone, gone).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusBadGateway {
		t.Errorf("status %d, want 502", w.Code)
	}
}
