// Package http01 has the names of the HTTP challenge.
package http01

import "time"

// PathPrefix is where a challenge's answer is looked for.
const PathPrefix = "/.well-known/acme-challenge/"

// ChallengeOption is an option of the challenge.
type ChallengeOption func()

// SetDelay returns no option.
func SetDelay(time.Duration) ChallengeOption { return nil }
