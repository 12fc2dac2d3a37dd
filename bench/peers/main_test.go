package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	in := "made 10\nwhat\tours\tratio\nbytes\t12\t1.5\nspans\t3\n| a | b |\n|---|---|\n"
	want := "made 10\n\n| what | ours | ratio |\n|---|---|---|\n| bytes | 12 | 1.5 |\n| spans | 3 |  |\n| a | b |\n|---|---|\n"
	if diff := cmp.Diff(want, markdown(in)); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsMissingIsSaid: a peer that is not there is no success.
func TestWhatIsMissingIsSaid(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), options{bin: t.TempDir(), only: "metrics"}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "metrics") || !strings.Contains(out.String(), "Not measured") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := run(t.Context(), options{only: "speed"}, &out, io.Discard); err == nil || !strings.Contains(err.Error(), `"speed"`) {
		t.Errorf("an unknown part: %v", err)
	}
}

// TestAPartThatFailsIsSaid, and its output kept.
func TestAPartThatFailsIsSaid(t *testing.T) {
	var out bytes.Buffer
	p := part{name: "x", title: "X", command: []string{"sh", "-c", "echo a; exit 3"}}
	if err := p.run(t.Context(), &out, io.Discard); err == nil || !strings.Contains(out.String(), "It failed") || !strings.Contains(out.String(), "\na\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
