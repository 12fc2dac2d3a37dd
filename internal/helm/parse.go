package helm

// Parse reads the arguments of helm as the given major version would (3 or 4).
// It never fails: what it cannot understand it says in Problem, and the command
// line is not Recorded.
func Parse(major int, args []string) Invocation {
	return Invocation{Major: major, Args: args}
}

// MayRecord reports whether args are an operation to record under Helm 3 or
// Helm 4, so that a passthrough need not ask which one it is.
func MayRecord(args []string) bool {
	return Parse(3, args).Recorded() || Parse(4, args).Recorded()
}
