package release

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths in characters: a cause stands on one line of a log and in a span's
// status; a progress line shares its line with the object's name.
const (
	quoteLength  = 300
	detailLength = 60
)

// said returns ": words", clipped, or nothing without words.
func said(words string) string {
	if words = clip(words, quoteLength); words == "" {
		return ""
	}
	return ": " + words
}

// clip makes one line of a text and cuts it to at most n characters.
func clip(s string, n int) string {
	s = strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " ")
	s = strings.TrimSuffix(s, ".")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func times(n int32) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

func orReason(reason, otherwise string) string {
	if reason == "" {
		return otherwise
	}
	return reason
}

var (
	rpcError    = regexp.MustCompile(`rpc error: code = \w+ desc = `)
	pullPrefix  = regexp.MustCompile(`^(Failed to pull|Back-off pulling) image "[^"]*"(: )?`)
	pullNesting = regexp.MustCompile(`^(?:ErrImagePull: )?failed to pull and unpack image "[^"]*": (?:failed to resolve reference "[^"]*": )?`)
	preemption  = regexp.MustCompile(`\.\s+(?:no new claims to deallocate,?\s*)?(?:preemption: .*|not found)?$`)
	mountObject = regexp.MustCompile(`object "([^"/]+)"/"([^"]+)" not registered`)
)

// pullError takes the wrapping off the runtime's words about a pull: the
// image's name stands in the sentence already.
func pullError(s string) string {
	s = rpcError.ReplaceAllString(pullPrefix.ReplaceAllString(s, ""), "")
	s = strings.TrimPrefix(s, "ErrImagePull: ")
	return pullNesting.ReplaceAllString(s, "")
}

// startError returns the runtime's last words: those before are its own steps.
func startError(s string) string {
	s = rpcError.ReplaceAllString(s, "")
	if i := strings.LastIndex(s, "exec: "); i >= 0 {
		return s[i:]
	}
	return strings.TrimPrefix(s, "failed to create containerd task: ")
}

// schedulerWords leaves out what the scheduler says of preemption after its own
// verdict: where that helps nobody it only repeats.
func schedulerWords(s string) string { return preemption.ReplaceAllString(s, "") }

func mountWords(s string) string {
	return mountObject.ReplaceAllString(s, `"$2" in namespace "$1" is not known yet`)
}

func probeWords(s string) string {
	for _, p := range []string{"Readiness probe failed: ", "Liveness probe failed: ", "Startup probe failed: "} {
		s = strings.TrimPrefix(s, p)
	}
	return strings.TrimPrefix(s, "Get ")
}

func lastMatching(events []Event, is func(Event) bool) *Event {
	var last *Event
	for i := range events {
		if is(events[i]) && (last == nil || !events[i].Last.Before(last.Last)) {
			last = &events[i]
		}
	}
	return last
}

func lastEvent(events []Event, reason string) *Event {
	return lastMatching(events, func(e Event) bool { return e.Reason == reason })
}

func containerEvent(events []Event, container, reason string) *Event {
	return lastMatching(events, func(e Event) bool { return e.Reason == reason && ContainerOf(e.FieldPath) == container })
}

// probeKill returns the probe's last failure when the kubelet said that it
// killed the container for it.
func probeKill(events []Event, container string) *Event {
	kill := lastMatching(events, func(e Event) bool {
		return e.Reason == "Killing" && ContainerOf(e.FieldPath) == container &&
			(strings.Contains(e.Message, "liveness probe") || strings.Contains(e.Message, "startup probe"))
	})
	if kill == nil {
		return nil
	}
	kind := "Liveness"
	if strings.Contains(kill.Message, "startup probe") {
		kind = "Startup"
	}
	return lastMatching(events, func(e Event) bool {
		return e.Reason == "Unhealthy" && ContainerOf(e.FieldPath) == container && strings.HasPrefix(e.Message, kind)
	})
}
