package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// perNamespace is how many releases share a namespace.
const perNamespace = 100

type writer struct {
	client kubernetes.Interface
	o      options
}

func namespace(i int) string { return fmt.Sprintf("bench-%03d", i/perNamespace) }

// releases writes the records as Helm does.
func (w writer) releases(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	for i := 0; i < w.o.releases; i += perNamespace {
		_, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i)}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return 0, err
		}
	}
	err := w.each(w.o.releases, func(i int) error {
		name := fmt.Sprintf("release-%04d", i)
		for revision := 1; revision <= w.o.revisions; revision++ {
			status := "superseded"
			if revision == w.o.revisions {
				status = "deployed"
			}
			_, err := w.client.CoreV1().Secrets(namespace(i)).Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Name:   fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision),
					Labels: map[string]string{"owner": "helm", "name": name, "version": fmt.Sprint(revision), "status": status, "modifiedAt": "1700000000"},
				},
				Type: "helm.sh/release.v1", Data: map[string][]byte{"release": body(namespace(i), name, revision, status)},
			}, metav1.CreateOptions{FieldManager: "helm"})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return nil
	})
	return time.Since(start), err
}

// each calls f for 0..n-1 from several goroutines.
func (w writer) each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	next := make(chan int)
	errs := make([]error, w.o.writers)
	for g := range w.o.writers {
		wg.Go(func() {
			for i := range next {
				if errs[g] == nil {
					errs[g] = f(i)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// body is a record of three objects with manifests of a usual size.
func body(ns, name string, revision int, status string) []byte {
	object := func(kind string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: %s\nmetadata:\n  name: %s\n  labels: {%s}\n", kind, name, strings.Repeat("a: b, ", 40))
	}
	plain := fmt.Sprintf(`{"name":%q,"info":{"first_deployed":"2026-01-01T00:00:00Z","last_deployed":"2026-02-01T00:00:%02dZ","description":"Upgrade complete","status":%q},`+
		`"chart":{"metadata":{"name":"app","version":"1.2.3","appVersion":"2.0"},"templates":[{"name":"t","data":%q}]},"config":{"replicas":2},"manifest":%q,"version":%d,"namespace":%q}`,
		name, revision, status, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(object("Deployment")), 6)), object("Deployment")+object("Service")+object("ConfigMap"), revision, ns)
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte(plain))
	_ = z.Close()
	return []byte(base64.StdEncoding.EncodeToString(buf.Bytes()))
}

// events makes events at the rate asked for.
func (w writer) events(ctx context.Context) (made int, err error) {
	tick := time.NewTicker(time.Second / time.Duration(w.o.events))
	defer tick.Stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, w.o.writers)
	for end := time.Now().Add(w.o.during); time.Now().Before(end); {
		<-tick.C
		n := made
		made++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			now := metav1.Now()
			ns := namespace(n % max(w.o.releases, 1))
			_, cerr := w.client.CoreV1().Events(ns).Create(ctx, &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("bench.%d.%d", time.Now().UnixNano(), n)},
				InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: fmt.Sprintf("pod-%d", n%1000)},
				Reason:         "BackOff", Message: "Back-off restarting failed container app", Type: "Warning",
				FirstTimestamp: now, LastTimestamp: now, Count: 1, Source: corev1.EventSource{Component: "bench"},
			}, metav1.CreateOptions{})
			if cerr != nil {
				mu.Lock()
				err = errors.Join(err, cerr)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return made, err
}
