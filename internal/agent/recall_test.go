package agent

import (
	"encoding/json"
	"fmt"
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

// recordsAPI is an API server that knows records, a checkpoint, and nothing else.
type recordsAPI struct {
	*httptest.Server
	items      string       // the records' metadata
	checkpoint []byte       // nil: there is none
	lists      atomic.Bool  // records can be listed
	reads      atomic.Bool  // and read
	refused    atomic.Int32 // lists and reads of records
	saves      atomic.Int32 // of the checkpoint
}

func newRecordsAPI(t *testing.T) *recordsAPI {
	api := &recordsAPI{}
	ended := t.Context().Done()
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		query := r.URL.Query()
		switch list := r.URL.Path == "/api/v1/secrets"; {
		case strings.Contains(r.URL.Path, "/configmaps") && r.Method != http.MethodGet:
			api.saves.Add(1)
			_, _ = io.Copy(w, r.Body)
		case strings.Contains(r.URL.Path, "/configmaps") && api.checkpoint == nil:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		case strings.Contains(r.URL.Path, "/configmaps"):
			_ = json.NewEncoder(w).Encode(corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, BinaryData: map[string][]byte{"checkpoint": api.checkpoint}})
		case list && api.lists.Load() && query.Get("sendInitialEvents") == "true":
			w.WriteHeader(http.StatusUnprocessableEntity) // as an API server that cannot stream lists
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case list && api.lists.Load() && query.Get("watch") == "":
			_, _ = fmt.Fprintf(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[%s]}`, api.items)
		case list && api.lists.Load():
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		case api.reads.Load() && strings.Contains(r.URL.Path, "/secrets/"):
			_ = json.NewEncoder(w).Encode(corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, Data: map[string][]byte{"release": []byte("no record")}})
		default:
			if strings.Contains(r.URL.Path, "/secrets") {
				api.refused.Add(1)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(api.Close)
	return api
}

// steady waits until the agent has caught up with what it can see and was
// refused something, and fails when is becomes true meanwhile.
func (api *recordsAPI) steady(t *testing.T, what string, is func() bool) {
	t.Helper()
	until := time.Now().Add(settle + 10*tick)
	for time.Now().Before(until) || api.refused.Load() == 0 {
		if is() {
			t.Fatal(what)
		}
		time.Sleep(tick)
	}
}

func within(t *testing.T, bound time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(bound); !is(); time.Sleep(tick) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", bound, what)
		}
	}
}

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
	api := newRecordsAPI(t)
	api.checkpoint = remembered
	sink := newEndpoint(t)
	sink.up = true
	runAgainst(t.Context(), t, api.URL, sink.URL, Config{Metrics: Off, Events: Off})
	told := func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.operations) > 0
	}
	api.steady(t, "something was told, though the API has listed nothing", told)
	api.lists.Store(true)
	within(t, time.Minute, "the uninstall is told after the empty list", told)
}

// TestTheFirstCheckpointWaits starts an agent for the first time in a cluster
// whose one record cannot be read yet: a checkpoint without that release would
// make it new to the next start.
func TestTheFirstCheckpointWaits(t *testing.T) {
	api := newRecordsAPI(t)
	api.items = `{"metadata":{"name":"sh.helm.release.v1.web.v3","namespace":"shop","uid":"u3","resourceVersion":"1","creationTimestamp":"2026-03-01T12:00:00Z",
		"labels":{"owner":"helm","name":"web","version":"3","status":"deployed"}}}`
	api.lists.Store(true)
	sink := newEndpoint(t)
	sink.up = true
	runAgainst(t.Context(), t, api.URL, sink.URL, Config{Metrics: Off, Events: Off})
	saved := func() bool { return api.saves.Load() > 0 }
	api.steady(t, "a checkpoint was written before the release was told", saved)
	api.reads.Store(true)
	within(t, time.Minute, "the checkpoint is written", saved)
}
