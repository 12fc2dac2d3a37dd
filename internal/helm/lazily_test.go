package helm

import (
	"regexp"
	"testing"
)

// TestExpressionsCompile finds what would panic at its first use only.
func TestExpressionsCompile(t *testing.T) {
	for _, p := range patterns {
		p.find()
	}
	for _, c := range classes {
		if c.pattern != nil {
			c.pattern()
		}
	}
	for _, expression := range []func() *regexp.Regexp{
		bareHook, errorCount, imageText, placeName, quantity, releaseName, rollbackTo,
		safeKey, secretName, secretPath, smallNumber, spaces, versionPattern,
	} {
		expression()
	}
}
