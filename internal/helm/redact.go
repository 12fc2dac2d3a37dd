package helm

// Redacted stands where a secret was.
const Redacted = "***"

// Redactor removes secrets from texts. The zero value knows the general
// patterns only; [NewRedactor] also knows the secrets of one command line.
type Redactor struct {
}

// NewRedactor returns a redactor that knows the secrets on the command line and
// in env ("KEY=value"): values of --set and its kin, passwords, tokens. Files
// are never read.
func NewRedactor(inv Invocation, env []string) *Redactor { return &Redactor{} }

// Redact returns s with every secret replaced by [Redacted]. It is safe for
// concurrent use and on a nil Redactor.
func (r *Redactor) Redact(s string) string { return s }
