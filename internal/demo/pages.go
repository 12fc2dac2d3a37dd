package demo

// rolloutPage is where the server shows a rollout.
func rolloutPage(base, id string) string { return base + "/canaries/" + id }

// traceURL is where it answers with a trace, as Tempo does.
func traceURL(base, id string) string { return base + "/tempo/api/traces/" + id }
