package helm

import (
	"errors"
)

// Environment variables that decide which helm runs.
const (
	// EnvBin names the helm to run, before anything else.
	EnvBin = "FAIRLEAD_HELM_BIN"
	// EnvHelmBin is Helm's own: it tells plugins which helm called them.
	EnvHelmBin = "HELM_BIN"
	// EnvDepth counts how many fairlead helm stand above this process.
	EnvDepth = "FAIRLEAD_HELM_DEPTH"
)

// ErrNotFound is returned by [Find] when there is no helm other than ourselves.
var ErrNotFound = errors.New("helm not found")

// ErrRecursion is returned by [Find] when fairlead would run itself for ever.
var ErrRecursion = errors.New("fairlead helm calls itself")

// FindOptions are the inputs of [Find]; the zero value looks at this process.
type FindOptions struct {
	// Getenv returns an environment variable or ""; nil is os.Getenv.
	Getenv func(string) string
	// Self is the path of our own binary; "" is os.Executable.
	Self string
}

// Find returns the path of the user's helm: the one that FAIRLEAD_HELM_BIN
// names, else the one that HELM_BIN names unless that is ourselves (Helm sets
// it for its plugins), else the first helm on PATH that is not ourselves, by
// whatever links. It returns [ErrNotFound] with the next step, or
// [ErrRecursion] when fairlead stands above itself too often.
func Find(opts FindOptions) (string, error) {
	return "", ErrNotFound
}

// ChildEnv returns env for a helm that we run: without variables that are ours
// alone, with the recursion guard counted up, and with extra ("KEY=value")
// replacing what was there.
func ChildEnv(env []string, extra ...string) []string {
	return env
}
