// Package startup keeps the garbage collector from running while the other
// packages are initialised: they make a few megabytes that all stay, and looking
// at them costs a fifth of the time that a short command has.
//
// Packages are initialised in the order of their paths where their imports
// allow it, and this one imports next to nothing, so it comes before almost all.
package startup

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the first collection begin at 16 MiB in place of 4.
const gcPercent = 400

var usual = lift()

func lift() int {
	if os.Getenv("GOGC") != "" {
		return 0 // somebody has decided
	}
	return debug.SetGCPercent(gcPercent)
}

// CollectAsUsual is for commands that stay: from here on memory counts.
func CollectAsUsual() {
	if usual > 0 {
		debug.SetGCPercent(usual)
	}
}
