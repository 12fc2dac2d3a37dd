package helm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// defaultTimeout is Helm's default of --timeout, in both versions.
const defaultTimeout = 5 * time.Minute

// Parse reads the arguments of helm as the given major version would (3, or
// else 4). It never fails: what it cannot understand it says in Problem, and
// the command line is not Recorded.
//
// A flag that is in no table is taken for a switch when the words that remain
// then fit the verb, and for a flag with a value otherwise. Where both readings
// fit but name different releases the command line is a Problem.
func Parse(major int, args []string) Invocation {
	if major != 3 {
		major = 4
	}
	tables := tablesFor(major)
	at := findVerb(args, tables.global)
	if at < 0 {
		return Invocation{Major: major, Args: args}
	}
	verb, recorded := verbAliases[args[at]]
	if !recorded {
		return Invocation{Major: major, Args: args, Verb: args[at]}
	}
	table := tables.verbs[verb]
	asSwitch := readWords(major, verb, args, at, table, arityBool)
	if len(asSwitch.unknown) == 0 {
		return asSwitch.finish()
	}
	asValue := readWords(major, verb, args, at, table, arityValue)
	switch a, b := asSwitch.fits(), asValue.fits(); {
	case a && b && !sameRelease(asSwitch, asValue):
		inv := asSwitch.finish()
		inv.Release, inv.Releases, inv.Chart = "", nil, ""
		inv.Problem = fmt.Sprintf("flag %s is not known, so it is not clear which word is the release", asSwitch.unknown[0])
		return inv
	case b && !a:
		return asValue.finish()
	default:
		return asSwitch.finish()
	}
}

// MayRecord reports whether args are an operation to record under Helm 3 or
// Helm 4, so that a passthrough need not ask which one it is.
func MayRecord(args []string) bool {
	return Parse(3, args).Recorded() || Parse(4, args).Recorded()
}

// findVerb returns the index of the first word that is no flag and no flag's
// value, or -1, by the rules by which Helm's command library looks for it: a
// flag that is not known yet eats the word behind it.
func findVerb(args []string, global *flagTable) int {
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case word == "--":
			return -1
		case strings.HasPrefix(word, "--") && !strings.Contains(word, "="):
			if spec, known := global.long[word[2:]]; !known || spec.arity == arityValue {
				i++
			}
		case len(word) == 2 && word[0] == '-' && word[1] != '=':
			if spec, known := global.short[word[1]]; !known || spec.arity == arityValue {
				i++
			}
		case word != "" && word[0] != '-':
			return i
		}
	}
	return -1
}

// flagUse is one flag on the command line.
type flagUse struct {
	name  string // long name
	value string // "" for a switch without one
	// word is the index in Args of the word that holds the value, and at the
	// byte where the value begins in it; word is -1 when there is none.
	word, at int
	known    bool
}

// reading is a command line while it is being read.
type reading struct {
	inv     Invocation
	unknown []string // flags that are in no table, as typed
	usage   bool     // Helm will refuse it
}

// readWords reads all words but the verb. unknownAs is how flags that are in no
// table take their value.
func readWords(major int, verb string, args []string, verbAt int, table *flagTable, unknownAs arity) reading {
	r := reading{inv: Invocation{Major: major, Args: args, Verb: verb}}
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case i == verbAt:
		case word == "--":
			for j := i + 1; j < len(args); j++ {
				if j != verbAt {
					r.inv.Positional = append(r.inv.Positional, args[j])
				}
			}
			return r
		case strings.HasPrefix(word, "--"):
			i = r.long(args, i, verbAt, table, unknownAs)
		case len(word) > 1 && word[0] == '-':
			i = r.shorts(args, i, verbAt, table, unknownAs)
		default:
			r.inv.Positional = append(r.inv.Positional, word)
		}
	}
	return r
}

// long reads the flag at args[i] and returns the index of the last word it used.
func (r *reading) long(args []string, i, verbAt int, table *flagTable, unknownAs arity) int {
	name, value, hasValue := strings.Cut(args[i][2:], "=")
	spec, known := table.long[name]
	if !known {
		r.unknown = append(r.unknown, "--"+name)
		spec = flagSpec{name: name, arity: unknownAs}
	}
	use := flagUse{name: name, known: known, word: -1}
	switch {
	case hasValue:
		use.value, use.word, use.at = value, i, len(args[i])-len(value)
	case spec.arity == arityValue:
		i = next(i, verbAt)
		if i >= len(args) {
			r.usage = true
			return i
		}
		use.value, use.word = args[i], i
	}
	r.inv.flags = append(r.inv.flags, use)
	return i
}

// shorts reads the shorthands at args[i] (-gn name, -nname, -n=name) and
// returns the index of the last word it used.
func (r *reading) shorts(args []string, i, verbAt int, table *flagTable, unknownAs arity) int {
	word := args[i]
	for at := 1; at < len(word); at++ {
		spec, known := table.short[word[at]]
		if !known {
			r.unknown = append(r.unknown, "-"+word[at:at+1])
			spec = flagSpec{name: word[at : at+1], arity: unknownAs}
		}
		use := flagUse{name: spec.name, known: known, word: -1}
		rest := at + 1
		switch {
		case rest < len(word) && word[rest] == '=' && len(word)-at > 2:
			use.value, use.word, use.at = word[rest+1:], i, rest+1
			at = len(word)
		case spec.arity != arityValue:
		case rest < len(word):
			use.value, use.word, use.at = word[rest:], i, rest
			at = len(word)
		default:
			i = next(i, verbAt)
			if i >= len(args) {
				r.usage = true
				return i
			}
			use.value, use.word = args[i], i
		}
		r.inv.flags = append(r.inv.flags, use)
	}
	return i
}

// next is the index of the word after i: Helm has taken the verb out by then.
func next(i, verbAt int) int {
	if i+1 == verbAt {
		return i + 2
	}
	return i + 1
}

// fits reports whether the number of words is one that the verb accepts.
func (r reading) fits() bool {
	n := len(r.inv.Positional)
	if r.usage {
		return false
	}
	switch r.inv.Verb {
	case VerbUpgrade:
		return n == 2
	case VerbInstall, VerbRollback:
		return n == 1 || n == 2
	case VerbTest:
		return n == 1
	default:
		return n >= 1
	}
}

func sameRelease(a, b reading) bool {
	x, y := a.finish(), b.finish()
	return x.Release == y.Release && x.Chart == y.Chart && len(x.Releases) == len(y.Releases)
}

// finish derives the meaning of the flags and words.
func (r reading) finish() Invocation {
	inv := r.inv
	inv.Timeout = defaultTimeout
	wait := ""
	for _, f := range inv.flags {
		switch f.name {
		case "help":
			inv.Help = f.on()
		case "dry-run":
			inv.DryRun = inv.isDryRun(f)
		case "wait":
			wait = f.value
			if f.word < 0 {
				wait = "true"
			}
		case "wait-for-jobs":
			inv.WaitForJobs = f.on()
		case "atomic", "rollback-on-failure":
			inv.Atomic = f.on()
		case "install":
			inv.Install = f.on()
		case "generate-name":
			inv.GenerateName = f.on()
		case "name-template":
			inv.NameTemplate = f.value
		case "no-hooks":
			inv.NoHooks = f.on()
		case "keep-history":
			inv.KeepHistory = f.on()
		case "output":
			inv.Output = f.value
		case "version":
			inv.ChartVersion = f.value
		case "timeout":
			if d, err := time.ParseDuration(f.value); err == nil {
				inv.Timeout = d
			}
		}
	}
	inv.Wait = waitMode(inv.Major, inv.Verb, wait, inv.Atomic)
	inv.readPositional()
	switch {
	case inv.Release == "" && !inv.named():
		inv.Problem = "the command line names no release"
	case inv.Release != "" && !releaseName().MatchString(inv.Release):
		inv.Problem = fmt.Sprintf("%q is no name of a release", inv.Release)
	}
	return inv
}

// releaseName is what Helm accepts as one.
var releaseName = lazily(`^[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?$`)

// named reports whether Helm makes the release's name up.
func (inv Invocation) named() bool {
	return inv.Verb == VerbInstall && len(inv.Positional) == 1 && (inv.GenerateName || inv.NameTemplate != "")
}

func (inv *Invocation) readPositional() {
	words := inv.Positional
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch inv.Verb {
	case VerbInstall:
		if inv.named() {
			inv.Chart = word(0)
			break
		}
		inv.Release, inv.Chart = word(0), word(1)
		if len(words) == 1 {
			inv.Release, inv.Chart = "", word(0)
		}
	case VerbUpgrade:
		inv.Release, inv.Chart = word(0), word(1)
	case VerbRollback:
		inv.Release = word(0)
		inv.Revision, _ = strconv.Atoi(word(1))
	case VerbUninstall:
		inv.Releases = words
		inv.Release = word(0)
	default:
		inv.Release = word(0)
	}
	if inv.Release != "" && inv.Verb != VerbUninstall {
		inv.Releases = []string{inv.Release}
	}
}

// on is the value of a switch. A text that is no boolean is refused by Helm.
func (f flagUse) on() bool {
	if f.word < 0 {
		return true
	}
	b, err := strconv.ParseBool(f.value)
	return err == nil && b
}

// isDryRun reads --dry-run, which is a switch in some commands, and takes
// client, server, none or a boolean in the others. A text that Helm refuses
// changes nothing either.
func (inv Invocation) isDryRun(f flagUse) bool {
	if f.word < 0 {
		return true
	}
	if f.value == "none" || f.value == "" && inv.Major == 3 {
		return false
	}
	b, err := strconv.ParseBool(f.value)
	return err != nil || b
}

// waitMode is helm.wait for a verb: what --wait says, or its default, raised by
// --atomic, which in both versions waits.
func waitMode(major int, verb, typed string, atomic bool) string {
	if verb == VerbTest {
		return ""
	}
	on, err := strconv.ParseBool(typed)
	if major == 3 {
		return strconv.FormatBool(err == nil && on || atomic)
	}
	mode := "hookOnly"
	switch {
	case err == nil && on, typed == "watcher":
		mode = "watcher"
	case typed == "legacy":
		mode = typed
	}
	if atomic && mode == "hookOnly" {
		mode = "watcher"
	}
	return mode
}
