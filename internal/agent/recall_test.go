package agent

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/release"
)

// TestOnlyAListSaysThatAReleaseIsGone starts an agent that remembers a release
// against an API that lists nothing at first: that is no uninstall. When the
// list of records comes, and is empty, it is.
func TestOnlyAListSaysThatAReleaseIsGone(t *testing.T) {
	k := newKeeper(Options{Logger: slog.New(slog.DiscardHandler)})
	k.now.Releases["shop/web"] = release.Told{Revision: 3, UID: "u3"}
	remembered, err := k.encode()
	if err != nil {
		t.Fatal(err)
	}
	var up atomic.Bool
	var refused atomic.Int32
	ctx := t.Context()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		query := r.URL.Query()
		switch secrets := r.URL.Path == "/api/v1/secrets"; {
		case strings.Contains(r.URL.Path, "/configmaps"):
			_ = json.NewEncoder(w).Encode(corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, BinaryData: map[string][]byte{"checkpoint": remembered}})
		case secrets && up.Load() && query.Get("sendInitialEvents") == "true":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case secrets && up.Load() && query.Get("watch") == "":
			_, _ = io.WriteString(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`)
		case secrets && up.Load():
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-ctx.Done():
			}
		default:
			if secrets {
				refused.Add(1)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(api.Close)
	sink := newEndpoint(t)
	sink.up = true
	runAgainst(ctx, t, api.URL, sink.URL, Config{Metrics: Off, Events: Off})
	told := func() int {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.operations)
	}
	until := time.Now().Add(settle + 10*tick) // it has caught up with what it can see
	for time.Now().Before(until) || refused.Load() == 0 {
		if told() > 0 {
			t.Fatal("something was told, though the API has listed nothing")
		}
		time.Sleep(tick)
	}
	up.Store(true)
	for end := time.Now().Add(time.Minute); told() != 1; time.Sleep(tick) {
		if time.Now().After(end) {
			t.Fatal("the uninstall was not told within a minute after the empty list")
		}
	}
}
