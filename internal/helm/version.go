package helm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Version is a Helm version.
type Version struct {
	// Major is 3 or 4; a later one is read as 4.
	Major int `json:"major"`
	// Text is what `helm version --short` says, such as "v3.22.0+g1a2b3c4".
	Text string `json:"text"`
}

// versionTimeout bounds `helm version`, which takes 50-100 ms and asks no
// network; a first start from a cold disk may take seconds.
const versionTimeout = 20 * time.Second

var versionPattern = lazily(`\bv(\d+)\.\d+[^\s"]*`)

// DetectVersion asks the helm at path for its version. The answer is kept in
// cacheDir under the binary's path, size and time, because asking takes as long
// as a whole helm call; "" is fairlead's directory in the user's cache
// directory. A cache that cannot be read or written costs time only.
func DetectVersion(ctx context.Context, path, cacheDir string) (Version, error) {
	file := versionFile(path, cacheDir)
	if v, ok := readVersion(file); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version", "--short")
	// A wrapper script that is a helm may call us again.
	cmd.Env = ChildEnv(os.Environ(), "HELM_NO_PLUGINS=1")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Version{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	v, err := parseVersion(string(out))
	if err != nil {
		return Version{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	writeVersion(file, v)
	return v, nil
}

// parseVersion reads the output of `helm version`, short or long.
func parseVersion(out string) (Version, error) {
	m := versionPattern().FindStringSubmatch(out)
	if m == nil {
		return Version{}, fmt.Errorf("no version in %q: is it helm?", firstLine(out))
	}
	major, err := strconv.Atoi(m[1])
	if err != nil || major < 3 {
		return Version{}, fmt.Errorf("version %s is not supported: fairlead needs Helm 3 or 4", m[0])
	}
	return Version{Major: min(major, 4), Text: m[0]}, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if len(line) > 80 {
		line = line[:80]
	}
	return line
}

// versionFile is where the version of the binary at path is kept, "" when it
// cannot be kept.
func versionFile(path, cacheDir string) string {
	if cacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		cacheDir = filepath.Join(dir, "fairlead")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	// Links (Homebrew's, alternatives) change their target under one name.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	info, err := os.Stat(abs)
	if err != nil {
		return ""
	}
	// A script (asdf's and mise's shims) stays the same while what it calls
	// changes, so only programs are remembered.
	if isScript(abs) {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", abs, info.Size(), info.ModTime().UnixNano()))
	return filepath.Join(cacheDir, "helm-version-"+hex.EncodeToString(sum[:12])+".json")
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	var head [2]byte
	n, _ := f.Read(head[:])
	return n == 2 && string(head[:]) == "#!"
}

func readVersion(file string) (Version, bool) {
	if file == "" {
		return Version{}, false
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return Version{}, false
	}
	var v Version
	if json.Unmarshal(data, &v) != nil || v.Major < 3 || v.Major > 4 {
		return Version{}, false
	}
	return v, true
}

// writeVersion replaces the file at once: several helmfile workers may write it.
func writeVersion(file string, v Version) {
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".helm-version-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(data)
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
}
