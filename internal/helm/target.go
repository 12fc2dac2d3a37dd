package helm

// Target returns the cluster and namespace of the invocation; getenv returns an
// environment variable or "".
func (inv Invocation) Target(getenv func(string) string) Target {
	return Target{}
}

// SafeArgs returns the arguments with every secret value replaced by [Redacted].
func (inv Invocation) SafeArgs() []string {
	return nil
}
