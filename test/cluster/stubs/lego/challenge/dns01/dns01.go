// Package dns01 has the options of the DNS challenge, all without effect.
package dns01

import (
	"strings"
	"time"
)

// ChallengeOption is an option of the challenge.
type ChallengeOption func()

// Options are those of a Client.
type Options struct {
	RecursiveNameservers []string
}

// Client does nothing.
type Client struct{}

// NewClient returns a Client.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient has no effect.
func SetDefaultClient(*Client) {}

// CondOptions returns no option.
func CondOptions(bool, ...ChallengeOption) ChallengeOption { return nil }

// DisableAuthoritativeNssPropagationRequirement returns no option.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return nil }

// DisableRecursiveNSsPropagationRequirement returns no option.
func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return nil }

// PropagationWait returns no option.
func PropagationWait(time.Duration, bool) ChallengeOption { return nil }

// UnFqdn returns name without its final dot.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
