package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// The same seed gives the same table, another seed another one.
func TestSameSeedSameTable(t *testing.T) {
	table := func(seed string) string {
		var out bytes.Buffer
		if err := run([]string{"-trials", "1", "-group", "errors", "-only", "+5 pp", "-rps", "100", "-rule", "sequential", "-seed", seed}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := table("1")
	if again := table("1"); again != first {
		t.Errorf("seed 1 gave\n%s\nand then\n%s", first, again)
	}
	if table("2") == first {
		t.Error("seed 2 gave the table of seed 1")
	}
	if !strings.Contains(first, "errors +5 pp") {
		t.Errorf("no cell in\n%s", first)
	}
}

func TestUnknownNames(t *testing.T) {
	for _, args := range [][]string{{"-rule", "guess"}, {"-group", "guess"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
