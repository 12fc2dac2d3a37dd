package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func TestReadConfig(t *testing.T) {
	c, err := readConfig(env())
	if err != nil || c.version != "dev" || c.address != ":8080" || c.crashes || c.exitCode != 1 {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	c, err = readConfig(env("VERSION=v2", "ADDR=127.0.0.1", "PORT=9", "CRASH_AFTER=0s", "EXIT_CODE=42", "ERROR_PERCENT=2.5", "UNREADY=true"))
	if err != nil || c.version != "v2" || c.address != "127.0.0.1:9" || !c.crashes || c.exitCode != 42 || c.errorPercent != 2.5 || !c.unready {
		t.Errorf("set: %+v, %v", c, err)
	}
	for _, bad := range []string{"LATENCY=fast", "UNREADY=maybe", "EXIT_CODE=x", "ERROR_PERCENT=many", "START_DELAY=1"} {
		name, value, _ := strings.Cut(bad, "=")
		if _, err := readConfig(env(bad)); err == nil || !strings.Contains(err.Error(), name+`="`+value+`"`) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(config{version: "v1", readyAfter: time.Second, latency: 20 * time.Millisecond}, time.Now())
		if got := get(h, "/readyz").Code; got != http.StatusServiceUnavailable {
			t.Errorf("ready at once: %d", got)
		}
		started := time.Now()
		if got := get(h, "/").Body.String(); !strings.HasPrefix(got, "version=v1 ") || time.Since(started) != 20*time.Millisecond {
			t.Errorf("%q after %s", got, time.Since(started))
		}
		time.Sleep(time.Second)
		for _, path := range []string{"/readyz", "/livez"} {
			if got := get(h, path).Code; got != http.StatusOK {
				t.Errorf("%s: %d", path, got)
			}
		}
		if got := get(h, "/metrics").Body.String(); !strings.Contains(got, `http_requests_total{code="200",version="v1"} 1`) {
			t.Errorf("metrics: %s", got)
		}
	})
	for _, tt := range []struct {
		config config
		path   string
		want   int
	}{
		{config{unready: true}, "/readyz", http.StatusServiceUnavailable},
		{config{unhealthy: true}, "/livez", http.StatusServiceUnavailable},
		{config{errorPercent: 100}, "/", http.StatusInternalServerError},
	} {
		if got := get(newHandler(tt.config, time.Now()), tt.path).Code; got != tt.want {
			t.Errorf("%+v %s: %d, want %d", tt.config, tt.path, got, tt.want)
		}
	}
}

func TestJob(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"job", "ok"}, 0},
		{[]string{"job", "fail", "1ms"}, 1},
		{[]string{"job"}, 2},
		{[]string{"job", "maybe"}, 2},
		{[]string{"job", "ok", "soon"}, 2},
		{[]string{"serve"}, 2},
	} {
		if got := job(tt.args); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.args, got, tt.want)
		}
	}
}
