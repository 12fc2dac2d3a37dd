package helm

import (
	"slices"
	"strings"
)

// maskedFlags are masked in [Invocation.SafeArgs] although their values are
// common words or someone else's business.
var maskedFlags = map[string]bool{"username": true, "post-renderer-args": true}

// safeKey is what a key of --set looks like.
var safeKey = lazily(`^[A-Za-z_][A-Za-z0-9_.\[\]-]{0,100}$`)

// SafeArgs returns the arguments with every secret value replaced by [Redacted].
// Of --set and its kin the first key stays: behind it nothing tells a key from
// the rest of a secret with a comma in it. Of a command that is not recorded,
// whose flags are not known, only the verb stays.
func (inv Invocation) SafeArgs() []string {
	if _, known := tablesFor(inv.Major).verbs[inv.Verb]; !known {
		if inv.Verb == "" {
			return nil
		}
		return []string{inv.Verb}
	}
	args := slices.Clone(inv.Args)
	for _, f := range inv.flags {
		if f.word < 0 || !f.known || !setFlags[f.name] && !plainSecretFlags[f.name] && !maskedFlags[f.name] {
			continue
		}
		args[f.word] = args[f.word][:f.at] + safeValue(f)
	}
	unknown := make(map[int]bool)
	for _, f := range inv.flags {
		if !f.known && f.word >= 0 {
			unknown[f.word] = true
			args[f.word] = args[f.word][:f.at] + Redacted
		}
	}
	for i := range args {
		if !unknown[i] {
			args[i] = redactPatterns(args[i])
		}
	}
	return args
}

func safeValue(f flagUse) string {
	if setFlags[f.name] {
		if key, _, found := strings.Cut(f.value, "="); found && safeKey().MatchString(key) {
			return key + "=" + Redacted
		}
	}
	return Redacted
}
