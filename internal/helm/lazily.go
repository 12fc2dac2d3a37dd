package helm

import (
	"regexp"
	"sync"
)

// lazily returns an expression that is compiled when it is first used. Most runs
// of Helm are passed through, or end well, and use few of them; compiling all
// would delay the start of each.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
