package cli

import "errors"

// Exit codes of fairlead's own commands. `fairlead helm` returns Helm's.
const (
	ExitOK          = 0   // success; a verdict of promote
	ExitError       = 1   // no judgement made: usage, authentication, backend
	ExitRollback    = 2   // a verdict of rollback
	ExitContinue    = 3   // a verdict of continue, or not enough data
	ExitTimeout     = 4   // --wait or --watch ran out of time
	ExitInterrupted = 130 // SIGINT
)

// CodeError carries the exit code that a command ends with. A nil Err prints
// nothing: the command has said all there is to say.
type CodeError struct {
	Code int
	Err  error
}

// Error returns the text of Err, or nothing.
func (e *CodeError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *CodeError) Unwrap() error { return e.Err }

// Exit returns an error that ends the process with code and prints nothing.
func Exit(code int) error { return &CodeError{Code: code} }

// exitCode translates a command's error to the code of the process.
func exitCode(err error) int {
	var c *CodeError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &c):
		return c.Code
	default:
		return ExitError
	}
}
