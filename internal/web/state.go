package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev/fairlead/internal/web/chart"
)

// State is how much of a panel is known. The zero State is: all of it.
type State struct {
	Kind string // "", calm, off, empty, stale, partial, forbidden, error
	Text string // what is so
	Next string // what to do about it, "" = nothing
	// Command is a command line to run, "" = none.
	Command string
}

// Shown reports whether the panel has content beside its state.
func (s State) Shown() bool { return s.Kind == "" || s.Kind == "stale" || s.Kind == "partial" }

// Word names the state.
func (s State) Word() string {
	switch s.Kind {
	case "off":
		return "Not configured"
	case "empty":
		return "No data"
	case "stale":
		return "Stale"
	case "partial":
		return "Partial"
	case "forbidden":
		return "Forbidden"
	default:
		return "Could not be read"
	}
}

// calm is the state of a panel in which nothing is missing: there is nothing, and
// that is well.
func calm(text string) State { return State{Kind: "calm", Text: text} }

func empty(text, next string) State { return State{Kind: "empty", Text: text, Next: next} }

func off(text, next, command string) State {
	return State{Kind: "off", Text: text, Next: next, Command: command}
}

func forbidden(text, next string) State { return State{Kind: "forbidden", Text: text, Next: next} }

func partial(text string) State { return State{Kind: "partial", Text: text} }

// failed is the state of a panel whose data could not be read: it fails alone.
func failed(err error) State {
	if errors.Is(err, context.DeadlineExceeded) {
		return State{Kind: "partial", Text: "Reading took longer than this page waits.", Next: "Choose a shorter range."}
	}
	return State{Kind: "error", Text: err.Error()}
}

func stale(last time.Time, now time.Time, next string) State {
	return State{Kind: "stale", Text: fmt.Sprintf("Nothing new for %s; the last word came at %s.", chart.Duration(now.Sub(last)), last.UTC().Format("15:04:05 UTC")), Next: next}
}
