//go:build linux

package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// tailBytes bounds what LastLines reads.
const tailBytes = 32 << 10

// LastLines returns the last n lines of a file, indented, or a line that says
// why there are none.
func LastLines(path string, n int) string {
	b, err := readTail(path)
	if err != nil {
		return fmt.Sprintf("  (no log: %v)", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "  (the log is empty)"
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	return "  " + strings.Join(lines, "\n  ")
}

func readTail(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, tailBytes)
	at, err := f.ReadAt(b, max(0, info.Size()-tailBytes))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:at], err
}
