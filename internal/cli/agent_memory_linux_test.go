package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestProgramPages gives the program's pages back while it runs: it holds fewer
// then, and goes on.
func TestProgramPages(t *testing.T) {
	file := func() int {
		data, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), "RssFile:")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p := programPages()
	if len(p) < 2 {
		t.Fatalf("%d mappings of the program, want its text and its constants", len(p))
	}
	before := file()
	p.giveBack()
	if after := file(); after > before*3/4 {
		t.Errorf("%d KiB of files are resident after %d KiB", after, before)
	}
}
