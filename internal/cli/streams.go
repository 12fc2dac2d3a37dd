package cli

import (
	"io"
	"os"
)

// Streams are the three standard streams of a command, passed in so that a
// test can stand in for the terminal.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// OSStreams returns the streams of this process.
func OSStreams() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }
