package ci

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
)

// GitHubTraceparent returns the W3C traceparent of the span that the
// Collector's github receiver makes of this workflow run, "" outside GitHub
// Actions. The receiver hashes the run's id, its attempt and a letter: trace id
// and root span follow from what the job's environment holds.
func GitHubTraceparent(getenv func(string) string) string {
	run := getenv("GITHUB_RUN_ID")
	if getenv("GITHUB_ACTIONS") != "true" || run == "" {
		return ""
	}
	run += cmp.Or(getenv("GITHUB_RUN_ATTEMPT"), "1")
	trace, span := sha256.Sum256([]byte(run+"t")), sha256.Sum256([]byte(run+"s"))
	return "00-" + hex.EncodeToString(trace[:16]) + "-" + hex.EncodeToString(span[8:16]) + "-01"
}
