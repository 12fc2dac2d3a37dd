package helm

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/release"
)

// capture is what a real Helm wrote when it failed (testdata/stderr/capture.sh).
type capture struct {
	class, name, stderr string
	exit                int
}

var captureHeader = regexp.MustCompile(`(?m)^== ([a-z_]+)(?:/([a-z_]+))? (\S+) exit=(\d+)\n`)

func captures(t *testing.T, major int) []capture {
	t.Helper()
	data, err := os.ReadFile("testdata/stderr/helm" + strconv.Itoa(major) + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	heads := captureHeader.FindAllStringSubmatchIndex(text, -1)
	var out []capture
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		c := capture{class: text[h[2]:h[3]], name: text[h[6]:h[7]], stderr: text[h[1]:end]}
		if h[4] >= 0 && major == 4 {
			c.class = text[h[4]:h[5]]
		}
		c.exit, _ = strconv.Atoi(text[h[8]:h[9]])
		out = append(out, c)
	}
	return out
}

func TestClassifyRealErrors(t *testing.T) {
	for _, major := range []int{3, 4} {
		seen := map[release.ErrorType]bool{}
		cases := captures(t, major)
		if len(cases) < 70 {
			t.Fatalf("only %d cases for Helm %d", len(cases), major)
		}
		for _, c := range cases {
			t.Run("helm"+strconv.Itoa(major)+"/"+c.class+"/"+c.name, func(t *testing.T) {
				want := release.ErrorType(c.class)
				if c.class == "none" {
					want = ""
				}
				if (c.exit == 0) != (want == "") {
					t.Fatalf("exit code %d of a case of class %s: capture again", c.exit, c.class)
				}
				got, sentence := Classify(c.exit, c.stderr, c.class == "cancelled" && c.exit < 128)
				if got != want {
					t.Errorf("class %q, want %q for\n%s", got, want, c.stderr)
				}
				if strings.Contains(sentence, "\n") || len([]rune(sentence)) > maxSentence || (sentence == "") != (want == "") {
					t.Errorf("sentence %q", sentence)
				}
				for _, noise := range []string{"Error:", "FAILED:", "level=", " occurred:", "Usage:", "  "} {
					if strings.Contains(sentence, noise) {
						t.Errorf("%q in the sentence %q", noise, sentence)
					}
				}
				seen[got] = true
			})
		}
		for _, class := range []release.ErrorType{release.ErrorLock, release.ErrorTimeout, release.ErrorHook, release.ErrorNotReady, release.ErrorTemplate,
			release.ErrorOwnership, release.ErrorUnreachable, release.ErrorForbidden, release.ErrorInvalid, release.ErrorNotFound, release.ErrorExists,
			release.ErrorChartFetch, release.ErrorUsage, release.ErrorCancelled, release.ErrorRolledBack} {
			// Helm 3 says no more than that the time was up.
			if !seen[class] && (major != 3 || class != release.ErrorNotReady) {
				t.Errorf("no real error of class %s from Helm %d", class, major)
			}
		}
	}
}

func TestClassifyWhatIsNoHelmError(t *testing.T) {
	cases := []struct {
		reason, stderr string
		exit           int
		cancelled      bool
		class          release.ErrorType
		sentence       string
	}{
		{"success, whatever stands on stderr", "Error: x", 0, false, "", ""},
		{"killed", "", 137, false, release.ErrorCancelled, "helm was ended by signal 9 (killed)"},
		{"cancelled without a word", "", 130, true, release.ErrorCancelled, "the operation was cancelled by a signal"},
		{"cancelled while it failed", "Error: UPGRADE FAILED: release: not found\n", 1, true, release.ErrorCancelled, "the operation was cancelled by a signal: release: not found"},
		{"nothing known", "", 3, false, release.ErrorOther, "helm ended with exit code 3 and no message"},
		{"an unknown text", "Error: something new\n", 1, false, release.ErrorOther, "something new"},
		{"warnings and logs before the error, a stack behind it", "WARNING: old\nW0101 12:00:00 x\nError: UPGRADE FAILED: boom\nhelm.go:86: [debug] boom\nmain.main\n", 1, false, release.ErrorOther, "boom"},
		{"a panic", "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\n", 2, false, release.ErrorOther, "panic: runtime error: index out of range"},
		{"a hook's log that speaks of errors", "Error: inner: connection refused\nError: INSTALLATION FAILED: failed pre-install: 1 error occurred:\n\t* job x failed: BackoffLimitExceeded\n\n", 1, false, release.ErrorHook, "failed pre-install: job x failed: BackoffLimitExceeded"},
		{"the API went away in the middle", `Error: UPGRADE FAILED: Get "https://10.0.0.1:6443/apis/apps/v1/namespaces/a/deployments/b": dial tcp 10.0.0.1:6443: connect: connection refused`, 1, false, release.ErrorUnreachable,
			`Get "https://10.0.0.1:6443/apis/apps/v1/namespaces/a/deployments/b": dial tcp 10.0.0.1:6443: connect: connection refused`},
		{"an admission webhook", `Error: UPGRADE FAILED: cannot patch "a" with kind Deployment: admission webhook "x.y" denied the request: no`, 1, false, release.ErrorForbidden,
			`cannot patch "a" with kind Deployment: admission webhook "x.y" denied the request: no`},
		{"the third text of a timeout", "Error: UPGRADE FAILED: client rate limiter Wait returned an error: rate: Wait(n=1) would exceed context deadline", 1, false, release.ErrorTimeout,
			"client rate limiter Wait returned an error: rate: Wait(n=1) would exceed context deadline"},
		{"two upgrades at the same moment", `Error: UPGRADE FAILED: create: failed to create: secrets "sh.helm.release.v1.web.v3" already exists`, 1, false, release.ErrorLock,
			`create: failed to create: secrets "sh.helm.release.v1.web.v3" already exists`},
		{"several errors become one line", "Error: UPGRADE FAILED: 2 errors occurred:\n\t* first\n\t* second\n\n", 1, false, release.ErrorOther, "first; second"},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			class, sentence := Classify(c.exit, c.stderr, c.cancelled)
			if diff := cmp.Diff([]string{string(c.class), c.sentence}, []string{string(class), sentence}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestClassifyKnowsTheVerb(t *testing.T) {
	const job = "Error: resource Job/shop/migrate not ready. status: Failed, message: Job Failed. failed: 1/1\n"
	for verb, want := range map[string]release.ErrorType{
		VerbRollback: release.ErrorHook, VerbUninstall: release.ErrorHook, VerbTest: release.ErrorHook, VerbUpgrade: release.ErrorNotReady,
	} {
		if got, _ := (Invocation{Verb: verb}).Classify(1, job, false); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
	}
}

func TestLongErrorsLoseTheirMiddle(t *testing.T) {
	_, got := Classify(1, "Error: template: a.yaml:1: "+strings.Repeat("x", 2000)+" the reason", false)
	if len(got) != maxSentence && len(got) != maxSentence-1 || !strings.HasPrefix(got, "template: a.yaml") || !strings.HasSuffix(got, "the reason") {
		t.Errorf("%d: %q", len(got), got)
	}
}
