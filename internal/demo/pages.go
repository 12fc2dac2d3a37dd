package demo

// rolloutPage is where the server shows a rollout.
func rolloutPage(base, id string) string { return base + "/canaries/" + id }

// tracePage is where it shows a trace.
func tracePage(base, id string) string { return base + "/traces/" + id }
