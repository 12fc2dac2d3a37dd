package release

// ConsecutiveFailures returns how many deploys failed since the release last
// deployed well, from its operations, newest start first. An uninstall that
// went well ends the count too; what still runs says nothing yet.
func ConsecutiveFailures(newestFirst []Operation) int {
	n := 0
	for _, op := range newestFirst {
		switch {
		case !op.State.Done():
		case op.Kind == KindUninstall && op.Succeeded():
			return n
		case op.Kind.Deploy() && op.Succeeded():
			return n
		case op.Kind.Deploy():
			n++
		}
	}
	return n
}
