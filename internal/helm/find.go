package helm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

// maxDepth is how many fairlead helm may stand above one another. Charts whose
// plugins or post-renderers call helm again nest two or three deep; a wrapper
// script that calls us, which we then take for helm, nests for ever.
const maxDepth = 8

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
	getenv := opts.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	if depth, _ := strconv.Atoi(getenv(EnvDepth)); depth >= maxDepth {
		return "", fmt.Errorf("%w (%d times): set %s to the path of the real helm", ErrRecursion, depth, EnvBin)
	}
	self := ourselves(opts.Self)
	if name := getenv(EnvBin); name != "" {
		return findNamed(name, getenv, self)
	}
	if name := getenv(EnvHelmBin); name != "" {
		if path, err := lookup(name, getenv, self); err == nil {
			return path, nil
		}
	}
	if path, err := lookup("helm", getenv, self); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w on PATH: install Helm (https://helm.sh/docs/intro/install) or set %s to its path", ErrNotFound, EnvBin)
}

// findNamed finds what the override names, which must be right as it stands.
func findNamed(name string, getenv func(string) string, self os.FileInfo) (string, error) {
	path, err := lookup(name, getenv, self)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, ErrRecursion):
		return "", fmt.Errorf("%w: %s=%s is fairlead itself, set it to the path of the real helm", ErrRecursion, EnvBin, name)
	default:
		return "", fmt.Errorf("%w: %s=%s: %w", ErrNotFound, EnvBin, name, err)
	}
}

// lookup finds an executable by path, or by name on PATH, that is not self.
func lookup(name string, getenv func(string) string, self os.FileInfo) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) || strings.ContainsRune(name, '/') {
		return executable(name, getenv, self)
	}
	err := fmt.Errorf("no such executable on PATH: %w", os.ErrNotExist)
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if dir == "" {
			dir = "."
		}
		path, e := executable(filepath.Join(dir, name), getenv, self)
		if e == nil {
			return filepath.Abs(path)
		}
		if errors.Is(e, ErrRecursion) {
			err = e
		}
	}
	return "", err
}

// executable returns path, with the extension that Windows adds, when it is an
// executable file other than self.
func executable(path string, getenv func(string) string, self os.FileInfo) (string, error) {
	candidates := []string{path}
	if runtime.GOOS == "windows" && filepath.Ext(path) == "" {
		extensions := getenv("PATHEXT")
		if extensions == "" {
			extensions = ".com;.exe;.bat;.cmd"
		}
		for ext := range strings.SplitSeq(extensions, ";") {
			candidates = append(candidates, path+ext)
		}
	}
	err := fmt.Errorf("%w", os.ErrNotExist)
	for _, candidate := range candidates {
		info, e := os.Stat(candidate)
		switch {
		case e != nil:
			if !errors.Is(e, os.ErrNotExist) {
				err = e
			}
		case info.IsDir():
			err = fmt.Errorf("%s is a directory", candidate)
		case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
			err = fmt.Errorf("%s is not executable", candidate)
		case self != nil && os.SameFile(self, info):
			err = ErrRecursion
		default:
			return candidate, nil
		}
	}
	return "", err
}

// ourselves stats our own binary; nil when that cannot be done, and then only
// the depth guards against recursion.
func ourselves(path string) os.FileInfo {
	if path == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil
		}
		path = exe
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

// CalledAs returns the absolute path by which this process was called, links not
// followed: the helm that is a link to us stays helm. name is os.Args[0]; the
// result is "" when there is no such program.
func CalledAs(name string) string {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	return path
}

// ChildEnv returns env ("KEY=value") for a helm that we run: with the recursion
// guard counted up, and with extra replacing what was there. FAIRLEAD_*
// variables stay: a plugin may call fairlead again.
func ChildEnv(env []string, extra ...string) []string {
	depth := 0
	for _, kv := range env {
		if v, found := strings.CutPrefix(kv, EnvDepth+"="); found {
			depth, _ = strconv.Atoi(v)
		}
	}
	extra = append([]string{EnvDepth + "=" + strconv.Itoa(depth+1)}, extra...)
	replaced := make(map[string]bool, len(extra))
	for _, kv := range extra {
		key, _, _ := strings.Cut(kv, "=")
		replaced[key] = true
	}
	out := make([]string, 0, len(env)+len(extra))
	for _, kv := range env {
		if key, _, _ := strings.Cut(kv, "="); !replaced[key] {
			out = append(out, kv)
		}
	}
	return append(out, extra...)
}
