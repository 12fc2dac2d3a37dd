//go:build unix

package helm

import (
	"fmt"
	"syscall"
)

// Exec replaces this process by the helm at path; it returns only an error.
// argv0 is the name under which that helm knows itself and which it hands to
// plugins as HELM_BIN; "" is path. A fairlead that was called as helm gives its
// own path, so that a plugin's `$HELM_BIN upgrade` is recorded too.
//
// On Windows, which cannot replace a process, it runs helm with this process's
// streams and exits with its code.
func Exec(path, argv0 string, args, env []string) error {
	if argv0 == "" {
		argv0 = path
	}
	err := syscall.Exec(path, append([]string{argv0}, args...), env)
	return fmt.Errorf("run %s: %w", path, err)
}
