// Package tlsalpn01 has the names of the TLS challenge.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is the protocol's name in ALPN.
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption is an option of the challenge.
type ChallengeOption func()

// SetDelay returns no option.
func SetDelay(time.Duration) ChallengeOption { return nil }

// ChallengeBlocks returns an error.
func ChallengeBlocks(string, string) ([]byte, []byte, error) {
	return nil, nil, errors.New("this build has no ACME")
}
