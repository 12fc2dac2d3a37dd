package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/fairlead/internal/release"
)

// TestRecordsAreReadAgainAfterAFault asks an API that has no time, breaks the
// connection, forbids, and answers; each record is told, or named.
func TestRecordsAreReadAgainAfterAFault(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		mu.Lock()
		asked[name]++
		times := asked[name]
		mu.Unlock()
		status := func(code int, reason metav1.StatusReason) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: reason, Code: int32(code)})
		}
		switch first := times == 1; {
		case strings.Contains(name, "busy") && first:
			status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
		case strings.Contains(name, "ill") && first:
			status(http.StatusInternalServerError, metav1.StatusReasonInternalError)
		case strings.Contains(name, "cut") && first:
			panic(http.ErrAbortHandler)
		case strings.Contains(name, "secret"):
			status(http.StatusForbidden, metav1.StatusReasonForbidden)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(corev1.Secret{
				TypeMeta:   metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"},
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Data: map[string][]byte{"release": []byte(name)},
			})
		}
	}))
	defer api.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"a","cluster":{"server":%q}}],"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":{}}]}`, api.URL)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(ClientOptions{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	w := offline(WatchOptions{
		Decode: func(data []byte) (release.Record, error) {
			if strings.Contains(string(data), "odd") {
				return release.Record{}, errors.New("no gzip")
			}
			return release.Record{Chart: "app", LastDeployed: created}, nil
		},
		Handler: func(o release.Observation) {
			if o.Record.Chart != "" || o.Record.Unreadable {
				told <- fmt.Sprintf("%s chart=%q unreadable=%v", o.Record.Name, o.Record.Chart, o.Record.Unreadable)
			}
		},
	})
	w.client, w.storage = client, "secrets"
	w.wg.Go(w.fetchRecords)
	w.wg.Go(func() { w.handlers.run(w.opts.Handler) })
	defer w.Stop()
	names := []string{"busy", "ill", "cut", "odd", "plain", "secret"}
	for _, name := range names {
		ref := release.Ref{Namespace: "shop", Name: name}
		w.ingest(release.Observation{At: time.Now(), Initial: true, Record: &release.Record{Ref: ref, Revision: 1, UID: "s-" + name, Status: "deployed"}})
	}
	var got []string
	for range names {
		select {
		case line := <-told:
			got = append(got, line)
		case <-time.After(20 * time.Second):
			t.Fatalf("within 20 s only %q", got)
		}
	}
	slices.Sort(got)
	want := []string{
		`busy chart="app" unreadable=false`, `cut chart="app" unreadable=false`, `ill chart="app" unreadable=false`,
		`odd chart="" unreadable=true`, `plain chart="app" unreadable=false`, `secret chart="" unreadable=true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if missing := strings.Join(w.Missing(), "; "); !strings.Contains(missing, "sh.helm.release.v1.odd.v1: decode the record") || !strings.Contains(missing, "get secrets: forbidden") {
		t.Errorf("missing: %s", missing)
	}
}
