package helm

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"fairlead.dev/fairlead/internal/release"
)

// Classify names the class of a failure from what Helm wrote to stderr, and
// says it in one sentence of Helm's words, not redacted. Success is "" and "".
// cancelled is [Result.Cancelled].
//
// The texts are those of Helm 3.22 and 4.3, of the Kubernetes API and of the
// registries; testdata/stderr holds what the real binaries wrote on a real
// cluster. What no rule knows is [release.ErrorOther]. [Invocation.Classify] is
// more exact.
func Classify(exitCode int, stderr string, cancelled bool) (release.ErrorType, string) {
	return Invocation{}.Classify(exitCode, stderr, cancelled)
}

// Classify is the function [Classify] with the knowledge of what was typed:
// Helm does not say that it is a hook which failed in rollback, uninstall and
// test, and says of a Job exactly the same where an upgrade waited for it.
func (inv Invocation) Classify(exitCode int, stderr string, cancelled bool) (release.ErrorType, string) {
	if exitCode == 0 {
		return "", ""
	}
	whole := errorMessage(stderr)
	message := trimContext(whole)
	sentence := oneSentence(message)
	lower := strings.ToLower(message)
	switch {
	case cancelled, strings.HasSuffix(lower, "context canceled"):
		return release.ErrorCancelled, cancelledSentence(sentence)
	case exitCode > 128 && exitCode < 128+65 && message == "":
		return release.ErrorCancelled, killedSentence(exitCode - 128)
	case strings.Contains(lower, "due to atomic being set"), strings.Contains(lower, "due to rollback-on-failure being set"):
		return release.ErrorRolledBack, sentence
	case bareHook().MatchString(strings.ToLower(whole)) && inv.Verb != VerbUpgrade && inv.Verb != VerbInstall:
		return release.ErrorHook, sentence
	}
	for _, rule := range classes {
		if rule.matches(lower) {
			return rule.class, sentence
		}
	}
	if sentence == "" {
		sentence = fmt.Sprintf("helm ended with exit code %d and no message", exitCode)
	}
	return release.ErrorOther, sentence
}

// bareHook is the message of a hook that failed in rollback, uninstall or test:
// a Job or Pod, with no word about what Helm was doing. (A rollback that waited
// for a workload says "release web failed:" before it.)
var bareHook = lazily(`^(1 error occurred:\s*\*\s*(job|pod) [^ ]+ failed|resource (job|pod)/[^ ]+ not ready\.)`)

func cancelledSentence(sentence string) string {
	if sentence == "" || strings.HasSuffix(sentence, "context canceled") {
		return "the operation was cancelled by a signal"
	}
	return "the operation was cancelled by a signal: " + sentence
}

func killedSentence(signal int) string {
	return fmt.Sprintf("helm was ended by signal %d (%s)", signal, syscall.Signal(signal))
}

// class is a rule: the message contains one of texts, or matches the pattern.
type class struct {
	class   release.ErrorType
	texts   []string
	pattern func() *regexp.Regexp
}

func (c class) matches(lower string) bool {
	for _, text := range c.texts {
		if strings.Contains(lower, text) {
			return true
		}
	}
	return c.pattern != nil && c.pattern().MatchString(lower)
}

// classes are tried in order. The outermost reason comes first: a hook that
// timed out is a hook, a chart that could not be fetched because its registry
// refused the connection is no unreachable cluster. All texts are lower case.
var classes = []class{
	{class: release.ErrorLock, texts: []string{
		"another operation (install/upgrade/rollback) is in progress",
		"release: already exists",
	}, pattern: lazily(`"sh\.helm\.release\.v1\.[^"]+" already exists`)},
	{class: release.ErrorUsage, texts: []string{
		"unknown flag:", "unknown shorthand flag:", "unknown command ", "flag needs an argument:", "bad flag syntax:",
		"expected at most two arguments", "must either provide a name or specify --generate-name",
		"cannot set --generate-name and also", "cannot set --name-template and also", "invalid dry-run flag",
		"invalid dry-run value", "invalid cascade value", "invalid color mode", "could not convert revision to a number",
		"failed parsing --set", "release name is invalid", "invalid release name", "hiding kubernetes secrets requires a dry-run",
		"user supplied labels contains system reserved label name", "none of the others can be", "unknown driver ",
		"cannot use force conflicts and force replace together", "cannot use server-side apply and force replace together",
		"forceconflicts enabled when serversideapply disabled", "description must be ",
	}, pattern: lazily(`^("helm [a-z ]+" requires |invalid argument "|open [^ ]+\.(ya?ml|json): )`)},
	{class: release.ErrorForbidden, texts: []string{"the server has asked for the client to provide credentials"}},
	{class: release.ErrorUnreachable, texts: []string{
		"kubernetes cluster unreachable", "could not get server version from kubernetes", "could not get apiversions from kubernetes",
	}},
	{class: release.ErrorHook, texts: []string{
		"failed pre-install:", "failed post-install:", "pre-upgrade hooks failed:", "post-upgrade hooks failed:",
	}, pattern: lazily(`\bhook (pre|post)-[a-z]+ .*failed|\bhook test .*failed|for (pre|post)-[a-z]+ hook |(pre|post)-(rollback|delete) hooks? failed`)},
	{class: release.ErrorTemplate, texts: []string{
		"execution error at (", "parse error at (", "parse error in (", "execution error in (", "error calling include",
		"rendering template failed", "rendering template has a nested reference", "values don't meet the specifications of the schema",
		"yaml parse error on ", "error converting yaml to json", "chart requires kubeversion:", "error while running post render",
		"error while parsing post rendered output", "failed to parse ", "cannot load values", "error unmarshaling json",
		"unable to build kubernetes objects from release manifest: error parsing",
	}, pattern: lazily(`(^|: )template: |/templates/[^ ]+:\d+:\d+\s+executing "`)},
	{class: release.ErrorChartFetch, texts: []string{
		"is not a valid chart repository or cannot be reached", "no cached repo found", "no repositories found",
		"missing in charts/ directory", "chart.yaml file is missing", "unable to detect chart at", "non-absolute urls should be in form",
		"invalid chart url format", "has no downloadable urls", "failed to download", "failed to fetch ", "could not download",
		"could not find protocol handler", "no chart version found", "no chart name found", "chart.metadata", "missing registry client",
		"failed to do request", "failed to perform ", "failed to copy: ", "invalid_reference", "could not load provenance",
		"failed to load keyring", "does not appear to be a gzipped archive", "chart file ", "improper constraint",
		"response status code 4", "response status code 5", "unable to locate any tags in provided repository", "library charts are not installable",
		"not installable", "invalid chart apiversion", "openpgp:", "sha256 sum does not match",
	}, pattern: lazily(`(^|: )(repo [^ ]+ not found|path "[^"]*" not found|chart "[^"]*" (matching|version) .*not found|stat [^ ]*: no such file)` +
		`|not found in [^ ]+ (repository|index)|scheme "[^"]*" not supported|looks like an? [a-z]+ chart|\b(get|head) "[a-z]+://[^/"]+/(v2/|[^"]*\.(tgz|yaml|prov)\b)`)},
	{class: release.ErrorUnreachable, texts: []string{
		"connection refused", "no such host", "i/o timeout", "tls handshake timeout", "connection reset by peer", "no route to host",
		"network is unreachable", "client connection lost", "unexpected eof", "x509:", "tls: ", "error loading config file",
		"invalid configuration:", "the server is currently unable to handle the request", "etcdserver: ", "unable to connect to the server",
		"getting credentials: exec", "apiserver not ready", "http2: ", "broken pipe", "server is shutting down",
	}, pattern: lazily(`(get|put|post|patch|delete) "https?://[^"]+": (eof|dial |net/http: |context deadline exceeded \(client\.timeout)`)},
	{class: release.ErrorOwnership, texts: []string{
		"invalid ownership metadata", "cannot be imported into the current release", "cannot be owned:",
		"conflict occurred while applying object", "apply failed with ",
	}},
	{class: release.ErrorForbidden, texts: []string{
		" is forbidden: ", "denied the request", "unauthorized",
		"you must be logged in to the server", "violates podsecurity", "exceeded quota",
	}},
	{class: release.ErrorNotReady, texts: []string{
		" not ready. status:", " still exists. status:", "failed to deploy ", "exceeded its progress deadline",
	}, pattern: lazily(`\b(job|pod) [^ ]+ failed\b|job is failed:`)},
	{class: release.ErrorTimeout, texts: []string{
		"timed out waiting for the condition", "context deadline exceeded", "would exceed context deadline", "request timed out",
		"timeout: ",
	}},
	{class: release.ErrorExists, texts: []string{
		"cannot re-use a name that is still in use", "cannot reuse a name that is still in use",
	}},
	{class: release.ErrorNotFound, texts: []string{
		"release: not found", "has no deployed releases", "release not loaded:", "is already deleted",
	}, pattern: lazily(`release has no -?\d+ version|namespaces "[^"]+" not found`)},
	{class: release.ErrorInvalid, texts: []string{
		" is invalid: ", "cannot patch ", "field is immutable", "error validating data", "no matches for kind", "resource mapping not found",
		"cannot be handled as a ", "unknown field ", "strict decoding error", "the server could not find the requested resource",
		"server-side apply failed", "failed to create patch", "failed to replace object", "the server rejected our request",
		"resourceversion should not be set", " already exists", "request entity too large", "may not be more than", "too long: must have at most",
		"removed kubernetes api(s)", "unable to build kubernetes objects", "unable to decode ", "object has been modified", "not found",
	}},
}

// errorMessage is what stands behind the last "Error: " that begins a line:
// Helm's own line, whatever warnings, logs of hooks and debug lines come before
// it. Text without one (a plugin's, a panic, a log of level ERROR) is taken
// from its last line.
func errorMessage(stderr string) string {
	stderr = strings.TrimSpace(strings.ReplaceAll(stderr, "\r\n", "\n"))
	at := -1
	if strings.HasPrefix(stderr, "Error: ") {
		at = 0
	}
	if i := strings.LastIndex(stderr, "\nError: "); i >= 0 {
		at = i + 1
	}
	if at >= 0 {
		message := stderr[at+len("Error: "):]
		// Debug mode prints a stack behind the message, usage errors the usage.
		for _, end := range []string{"\nhelm.go:", "\n\nUsage:", "\nRun 'helm"} {
			if i := strings.Index(message, end); i >= 0 {
				message = message[:i]
			}
		}
		return strings.TrimSpace(message)
	}
	if i := strings.Index(stderr, "panic: "); i >= 0 {
		return firstLine(stderr[i:])
	}
	lines := strings.Split(stderr, "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// trimContext takes off what every message of a verb begins with.
func trimContext(message string) string {
	for _, prefix := range []string{"INSTALLATION FAILED: ", "UPGRADE FAILED: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return strings.TrimSpace(message)
}

// maxSentence is the length of a cause: it stands on a span, in a table, in a
// notification. Template errors carry the position first and the reason last,
// so a longer text loses its middle.
const maxSentence = 500

var (
	errorCount = lazily(`\b\d+ errors? occurred:[ \t]*`)
	spaces     = lazily(`\s+`)
)

// oneSentence makes one line of a message: lists of errors are joined by "; ",
// a line that is indented continues the one before it.
func oneSentence(message string) string {
	message = errorCount().ReplaceAllString(message, "")
	var out strings.Builder
	for line := range strings.SplitSeq(message, "\n") {
		text := strings.TrimLeft(line, " \t")
		item := strings.HasPrefix(text, "* ")
		continues := len(text) < len(line) && !item
		text = strings.TrimSpace(spaces().ReplaceAllString(strings.TrimPrefix(text, "* "), " "))
		switch so := out.String(); {
		case text == "":
			continue
		case so == "":
		case continues || strings.HasSuffix(so, ":"):
			out.WriteString(" ")
		default:
			out.WriteString("; ")
		}
		out.WriteString(text)
	}
	return shorten(out.String(), maxSentence)
}

func shorten(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	half := (limit - 3) / 2
	return string(runes[:half]) + "..." + string(runes[len(runes)-half:])
}
