package helm

import "time"

// RollbackArgs returns the arguments of our own `helm rollback` of the
// invocation's release to revision, with the same cluster, namespace, waiting
// and timeout.
func RollbackArgs(inv Invocation, revision int) []string { return nil }

// UninstallArgs returns the arguments of our own `helm uninstall` of a first
// install that failed, with the same cluster, namespace, waiting and timeout.
// release overrides the invocation's name, which a generated name needs; ""
// keeps it.
func UninstallArgs(inv Invocation, release string) []string { return nil }

var _ = time.Second
