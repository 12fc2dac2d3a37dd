package wrapper

import (
	"io"
	"sync"
)

// console is the one way to stderr: Helm's bytes as they come, whole lines of
// ours, and on a terminal one status line below them that is taken away before
// anything else is written.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	status string // as shown now, "" when none is
	// midLine is whether Helm left the cursor in the middle of a line: nothing
	// of ours may stand there.
	midLine bool
}

const clearLine = "\r\x1b[2K"

// Write passes Helm's bytes on.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	n, err := c.out.Write(p)
	if n > 0 {
		c.midLine = p[n-1] != '\n'
	}
	return n, err
}

// Print writes text, whole lines of ours, on a line of its own.
func (c *console) Print(text string) {
	if text == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	if c.midLine {
		text = "\n" + text
		c.midLine = false
	}
	_, _ = io.WriteString(c.out, text)
}

// Status shows the status line; "" takes it away. While Helm is in the middle
// of a line (a prompt, say) nothing is shown.
func (c *console) Status(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if line == c.status {
		return
	}
	c.clear()
	if line == "" || c.midLine {
		return
	}
	_, _ = io.WriteString(c.out, line)
	c.status = line
}

func (c *console) clear() {
	if c.status != "" {
		_, _ = io.WriteString(c.out, clearLine)
		c.status = ""
	}
}
