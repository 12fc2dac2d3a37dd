package helm

import (
	"strings"
	"sync"
)

// arity says how a flag takes its value.
type arity int

const (
	arityBool     arity = iota // --flag or --flag=false; never eats the next word
	arityOptional              // --flag or --flag=value; never eats the next word
	arityValue                 // --flag=value or --flag value
)

// flagSpec is one flag of a command.
type flagSpec struct {
	name  string // long name
	short byte   // 0 = none
	arity arity
}

// flagTable is the flags of one command, by long and by short name.
type flagTable struct {
	long  map[string]flagSpec
	short map[byte]flagSpec
}

// flagWords lists flags as space-separated names, "name/s" with a shorthand.
type flagWords struct {
	bools, optional, values string
}

func (w flagWords) addTo(t *flagTable) {
	add := func(words string, a arity) {
		for word := range strings.FieldsSeq(words) {
			spec := flagSpec{arity: a}
			name, short, found := strings.Cut(word, "/")
			spec.name = name
			if found {
				spec.short = short[0]
				t.short[spec.short] = spec
			}
			t.long[name] = spec
		}
	}
	add(w.bools, arityBool)
	add(w.optional, arityOptional)
	add(w.values, arityValue)
}

func newFlagTable(words ...flagWords) *flagTable {
	t := &flagTable{long: make(map[string]flagSpec, 96), short: make(map[byte]flagSpec, 8)}
	for _, w := range words {
		w.addTo(t)
	}
	return t
}

// commandTables are the flags of one major version of Helm: before a verb is
// known (global), and of each recorded verb.
type commandTables struct {
	global *flagTable
	verbs  map[string]*flagTable
}

// The tables follow the flag definitions of Helm 3.22 and 4.3, hidden and
// deprecated flags included; TestFlagTablesMatchHelp compares them with the
// binaries. A flag that a later Helm adds is read by [Parse]'s rule for unknown
// flags until it stands here.
var tables3 = sync.OnceValue(func() commandTables {
	return newCommandTables(flagWords{}, map[string][]flagWords{
		VerbInstall:   {flagsDeploy, flagsDeploy3, flagsInstall},
		VerbUpgrade:   {flagsDeploy, flagsDeploy3, flagsUpgrade, {bools: "recreate-pods"}},
		VerbRollback:  {flagsRollback, {bools: "wait dry-run recreate-pods"}},
		VerbUninstall: {flagsUninstall, {bools: "wait"}},
		VerbTest:      {flagsTest, {bools: "hide-notes"}},
	})
})

var tables4 = sync.OnceValue(func() commandTables {
	return newCommandTables(flagWords{values: "color colour content-cache"}, map[string][]flagWords{
		VerbInstall:   {flagsDeploy, flagsDeploy4, flagsInstall, {bools: "server-side"}},
		VerbUpgrade:   {flagsDeploy, flagsDeploy4, flagsUpgrade, {values: "server-side"}},
		VerbRollback:  {flagsRollback, {bools: "force-replace force-conflicts", optional: "wait dry-run", values: "server-side description"}},
		VerbUninstall: {flagsUninstall, {optional: "wait"}},
		VerbTest:      {flagsTest},
	})
})

func newCommandTables(global flagWords, verbs map[string][]flagWords) commandTables {
	t := commandTables{global: newFlagTable(flagsGlobal, flagsKlog, global), verbs: make(map[string]*flagTable, len(verbs))}
	for verb, words := range verbs {
		all := append([]flagWords{flagsGlobal, flagsKlog, global, {bools: "help/h"}}, words...)
		t.verbs[verb] = newFlagTable(all...)
	}
	return t
}

func tablesFor(major int) commandTables {
	if major == 3 {
		return tables3()
	}
	return tables4()
}

// verbAliases are the words that stand for a recorded verb.
var verbAliases = map[string]string{
	"install": VerbInstall, "upgrade": VerbUpgrade, "rollback": VerbRollback, "test": VerbTest,
	"uninstall": VerbUninstall, "del": VerbUninstall, "delete": VerbUninstall, "un": VerbUninstall,
}

var (
	flagsGlobal = flagWords{
		bools: "debug kube-insecure-skip-tls-verify",
		values: `namespace/n kubeconfig kube-context kube-token kube-as-user kube-as-group kube-apiserver
			kube-ca-file kube-tls-server-name registry-config repository-config repository-cache burst-limit qps`,
	}
	// flagsKlog are hidden in Helm's help.
	flagsKlog = flagWords{
		bools: `logtostderr alsologtostderr legacy-stderr-threshold-behavior add-dir-header skip-headers
			one-output skip-log-headers`,
		values: "log-dir log-file log-file-max-size v/v stderrthreshold alsologtostderrthreshold vmodule log-backtrace-at",
	}
	// flagsDeploy are common to install and upgrade in both versions.
	flagsDeploy = flagWords{
		bools: `atomic create-namespace dependency-update devel disable-openapi-validation enable-dns force
			hide-notes hide-secret insecure-skip-tls-verify no-hooks pass-credentials plain-http
			render-subchart-notes skip-crds skip-schema-validation take-ownership verify wait-for-jobs`,
		optional: "dry-run",
		values: `ca-file cert-file description key-file keyring labels/l output/o password post-renderer
			post-renderer-args repo set set-file set-json set-literal set-string timeout username values/f version`,
	}
	flagsDeploy3 = flagWords{bools: "wait"}
	flagsDeploy4 = flagWords{bools: "rollback-on-failure force-replace force-conflicts", optional: "wait"}
	flagsInstall = flagWords{bools: "generate-name/g replace", values: "name-template"}
	flagsUpgrade = flagWords{
		bools:  "install/i cleanup-on-fail reset-values reuse-values reset-then-reuse-values",
		values: "history-max",
	}
	flagsRollback  = flagWords{bools: "cleanup-on-fail force no-hooks wait-for-jobs", values: "history-max timeout"}
	flagsUninstall = flagWords{bools: "dry-run ignore-not-found keep-history no-hooks", values: "cascade description timeout"}
	flagsTest      = flagWords{bools: "logs", values: "filter timeout"}
)
