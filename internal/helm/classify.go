package helm

import "fairlead.dev/fairlead/internal/release"

// Classify names the class of a failure from what Helm wrote to stderr, and
// says it in one sentence of Helm's words, not redacted. Success is "" and "".
// cancelled is [Result.Cancelled].
func Classify(exitCode int, stderr string, cancelled bool) (release.ErrorType, string) {
	return release.ErrorOther, ""
}
