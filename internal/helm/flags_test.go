package helm

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// helpLine is one flag in Helm's help: "-n, --namespace string   namespace ...",
// "--wait WaitStrategy[=watcher]   ...", "--debug   enable ...".
var helpLine = regexp.MustCompile(`^\s+(?:-(\w), )?--([\w-]+)(?: ([A-Za-z]\w*)(\[=[^]]*\])?)?(\[=[^]]*\])?\s{2,}`)

// unlisted are flags that Helm accepts and its help does not show: klog's, and
// those that are deprecated.
var unlisted = map[int][]string{
	3: {"recreate-pods"},
	4: {"atomic", "force", "recreate-pods"},
}

func TestFlagTablesMatchHelp(t *testing.T) {
	forBoth(t, func(t *testing.T, major int, path string) {
		env := noClusterEnv(t, "")
		for verb, table := range tablesFor(major).verbs {
			t.Run(verb, func(t *testing.T) {
				help := helpFlags(t, helmOutput(t, path, env, verb, "--help"))
				compareTable(t, major, table, help)
			})
		}
		t.Run("global", func(t *testing.T) {
			help := helpFlags(t, helmOutput(t, path, env, "--help"))
			delete(help, "help") // Helm adds it after it has looked for the verb
			compareTable(t, major, tablesFor(major).global, help)
		})
	})
}

func helpFlags(t *testing.T, help string) map[string]flagSpec {
	t.Helper()
	flags := map[string]flagSpec{}
	for line := range strings.SplitSeq(help, "\n") {
		m := helpLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		spec := flagSpec{name: m[2], arity: arityValue}
		if m[1] != "" {
			spec.short = m[1][0]
		}
		switch {
		case m[4] != "" || m[5] != "":
			spec.arity = arityOptional
		case m[3] == "":
			spec.arity = arityBool
		}
		flags[spec.name] = spec
	}
	if len(flags) < 10 {
		t.Fatalf("only %d flags in the help, has its form changed?\n%s", len(flags), help)
	}
	return flags
}

func compareTable(t *testing.T, major int, table *flagTable, help map[string]flagSpec) {
	t.Helper()
	ours := map[string]flagSpec{}
	klog := newFlagTable(flagsKlog)
	for name, spec := range table.long {
		if _, hidden := klog.long[name]; hidden {
			continue
		}
		if _, listed := help[name]; !listed && slices.Contains(unlisted[major], name) {
			continue
		}
		ours[name] = spec
	}
	if diff := cmp.Diff(help, ours, cmp.AllowUnexported(flagSpec{})); diff != "" {
		t.Errorf("-help +table:\n%s", diff)
	}
}

func TestUnlistedFlagsAreAccepted(t *testing.T) {
	forBoth(t, func(t *testing.T, major int, path string) {
		env := noClusterEnv(t, "")
		for verb, table := range tablesFor(major).verbs {
			var args []string
			klog := newFlagTable(flagsKlog)
			for name, spec := range table.long {
				_, hidden := klog.long[name]
				if !hidden && !slices.Contains(unlisted[major], name) {
					continue
				}
				switch {
				case spec.arity != arityValue:
					args = append(args, "--"+name)
				case name == "log-file" || name == "log-dir" || name == "vmodule" || name == "log-backtrace-at":
					args = append(args, "--"+name, "")
				default:
					args = append(args, "--"+name, "1")
				}
			}
			// --help wins once all flags are understood.
			helmOutput(t, path, env, append(append([]string{verb}, args...), "--help")...)
		}
	})
}
