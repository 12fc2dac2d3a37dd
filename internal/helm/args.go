package helm

import (
	"strconv"
)

// carried are the flags that our own rollback or uninstall takes over as typed:
// which cluster and namespace, and how Helm talks to it.
var carried = map[string]bool{
	"namespace": true, "kubeconfig": true, "kube-context": true, "kube-token": true, "kube-as-user": true,
	"kube-as-group": true, "kube-apiserver": true, "kube-ca-file": true, "kube-tls-server-name": true,
	"kube-insecure-skip-tls-verify": true, "burst-limit": true, "qps": true, "debug": true,
	"color": true, "colour": true, "no-hooks": true,
}

// carriedToRollback are those that rollback has beside uninstall's.
var carriedToRollback = map[string]bool{"history-max": true, "cleanup-on-fail": true, "wait-for-jobs": true}

// RollbackArgs returns the arguments of our own `helm rollback` of release to
// revision: with the invocation's cluster, namespace, waiting and timeout, and
// always with the revision, because without one Helm means the one before,
// which may be the failed one's failed predecessor. release overrides the
// invocation's name; "" keeps it.
func RollbackArgs(inv Invocation, release string, revision int) []string {
	args := []string{VerbRollback, nameOr(release, inv), strconv.Itoa(revision)}
	args = inv.carry(args, carriedToRollback)
	return inv.waiting(args)
}

// UninstallArgs returns the arguments of our own `helm uninstall` of a first
// install that failed, with the invocation's cluster, namespace, waiting and
// timeout. release overrides the invocation's name, which a generated name
// needs; "" keeps it.
func UninstallArgs(inv Invocation, release string) []string {
	args := []string{VerbUninstall, nameOr(release, inv)}
	args = inv.carry(args, nil)
	return inv.waiting(args)
}

func nameOr(release string, inv Invocation) string {
	if release != "" {
		return release
	}
	return inv.Release
}

func (inv Invocation) carry(args []string, more map[string]bool) []string {
	for _, f := range inv.flags {
		switch {
		case !f.known || !carried[f.name] && !more[f.name]:
		case f.word < 0:
			args = append(args, "--"+f.name)
		default:
			args = append(args, "--"+f.name+"="+f.value)
		}
	}
	return args
}

func (inv Invocation) waiting(args []string) []string {
	switch {
	case inv.Wait == "" || inv.Wait == "false":
	case inv.Wait == "true":
		args = append(args, "--wait")
	default:
		args = append(args, "--wait="+inv.Wait)
	}
	return append(args, "--timeout="+inv.Timeout.String())
}
