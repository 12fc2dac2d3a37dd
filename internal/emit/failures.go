package emit

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
)

// maxProblem bounds the text of one problem: collectors answer with whole pages.
const maxProblem = 240

// failures collects what went wrong with exporting, once per signal.
type failures struct {
	mu    sync.Mutex
	texts []string // in the order met, without doubles
	by    map[string][]string
}

// add records err for a signal ("traces", ...; "" for none in particular).
func (f *failures) add(signal string, err error) {
	text := firstCause(err.Error())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[string][]string{}
	}
	if !slices.Contains(f.texts, text) {
		f.texts = append(f.texts, text)
	}
	if signal != "" && !slices.Contains(f.by[text], signal) {
		f.by[text] = append(f.by[text], signal)
	}
}

// summary is one line, "" when nothing failed.
func (f *failures) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := make([]string, 0, len(f.texts))
	for _, text := range f.texts {
		if signals := f.by[text]; len(signals) > 0 {
			slices.Sort(signals)
			text += " (" + strings.Join(signals, ", ") + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// firstCause makes one bounded line of an exporter's error and drops what
// differs between signals of one cause, so that equal causes count once.
func firstCause(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, marker := range []string{"connection refused", "no such host", "deadline exceeded", "i/o timeout", "network is unreachable"} {
		if strings.Contains(text, marker) {
			return marker
		}
	}
	if len(text) > maxProblem {
		text = text[:maxProblem] + "..."
	}
	return text
}

// routeSDKErrors sends what the SDK would print on stderr to f: the user gets
// one line at the end, not one per batch.
func routeSDKErrors(f *failures) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { f.add("", err) }))
	// The SDK reports settings that it cannot use (a certificate that is not
	// there) to its logger only.
	otel.SetLogger(funcr.New(func(_, args string) { f.add("", errors.New(args)) }, funcr.Options{Verbosity: 1}))
}
