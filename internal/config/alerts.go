package config

import (
	"net/url"
	"strings"
	"time"
)

// Alerts are the thresholds of the built-in alerts and who is told.
type Alerts struct {
	Enabled bool `yaml:"enabled"` // false switches all built-in alerts off

	RollbackRate        RollbackRate        `yaml:"rollbackRate"`        // more rollbacks than usual
	SlowDeploy          SlowDeploy          `yaml:"slowDeploy"`          // a deployment slower than usual
	ConsecutiveFailures ConsecutiveFailures `yaml:"consecutiveFailures"` // one release fails again and again
	StuckPending        StuckPending        `yaml:"stuckPending"`        // an operation that does not end
	AnalysisNoData      AnalysisNoData      `yaml:"analysisNoData"`      // a rollout without data

	Interval Duration `yaml:"interval"` // between evaluations; what arrives is looked at within a second
	URL      string   `yaml:"url"`      // of this server as people reach it, for links in messages
	Runbooks string   `yaml:"runbooks"` // URL of docs/alerts.md, or of your own page with its anchors

	Receivers []Receiver `yaml:"receivers"` // who is told
}

// RollbackRate fires when rollbacks over completed deployments exceed
// Threshold (a share) within Window, with at least MinOperations of them.
type RollbackRate struct {
	Threshold     float64  `yaml:"threshold"`     // a share: 0.2 is 20 %
	Window        Duration `yaml:"window"`        // that it looks back
	MinOperations int      `yaml:"minOperations"` // completed deployments, below which it says nothing
}

// SlowDeploy fires when a deployment takes more than Factor times the P99 of
// the release's successes within Baseline, given MinSamples of them.
type SlowDeploy struct {
	Factor     float64  `yaml:"factor"`     // times the P99
	Baseline   Duration `yaml:"baseline"`   // that the P99 is of
	MinSamples int      `yaml:"minSamples"` // successes, below which it says nothing
	Keep       Duration `yaml:"keep"`       // how long it fires after the deployment ended
}

// ConsecutiveFailures fires when more than Count deployments of a release
// failed in a row.
type ConsecutiveFailures struct {
	Count int `yaml:"count"` // it fires at one more
}

// StuckPending fires when an operation has been running for longer than After.
type StuckPending struct {
	After Duration `yaml:"after"` // how long an operation may run
}

// AnalysisNoData fires when a rollout waits at a gate without data for longer
// than After.
type AnalysisNoData struct {
	After Duration `yaml:"after"` // how long a gate may be without data
}

// Receiver is told of alerts. Exactly one of the URLs is set: as it is, or, where
// it is a secret, as env:NAME or file:PATH.
type Receiver struct {
	Name         string `yaml:"name"`         // in messages and on the page; required
	Alertmanager string `yaml:"alertmanager"` // base URL of an Alertmanager
	Webhook      string `yaml:"webhook"`      // gets Alertmanager's webhook JSON
	Slack        string `yaml:"slack"`        // incoming webhook URL
	// SecretFile or SecretEnv hold the key that webhook bodies are signed with
	// (HMAC-SHA256); TokenFile or TokenEnv a bearer token.
	SecretFile string   `yaml:"secretFile"`
	SecretEnv  string   `yaml:"secretEnv"`
	TokenFile  string   `yaml:"tokenFile"`
	TokenEnv   string   `yaml:"tokenEnv"`
	Timeout    Duration `yaml:"timeout"` // of one attempt; default 10s
	// Repeat is after how long an alert that still fires is told again; default
	// 1m for an Alertmanager, which forgets otherwise, and 4h for the others.
	Repeat Duration `yaml:"repeat"`
}

// Kind returns alertmanager, webhook or slack, and the URL or its reference.
func (r *Receiver) Kind() (kind, url string) {
	switch {
	case r.Alertmanager != "":
		return "alertmanager", r.Alertmanager
	case r.Webhook != "":
		return "webhook", r.Webhook
	default:
		return "slack", r.Slack
	}
}

// WithDefaults returns the receiver with what was left out filled in.
func (r Receiver) WithDefaults() Receiver {
	if r.Timeout == 0 {
		r.Timeout = Duration(10 * time.Second)
	}
	if r.Repeat == 0 {
		r.Repeat = Duration(4 * time.Hour)
		if r.Alertmanager != "" {
			r.Repeat = Duration(time.Minute)
		}
	}
	return r
}

// Runbooks is where docs/alerts.md is read.
const Runbooks = "https://fairlead.dev/docs/alerts"

func defaultAlerts() Alerts {
	return Alerts{
		Enabled:             true,
		RollbackRate:        RollbackRate{Threshold: 0.20, Window: Duration(time.Hour), MinOperations: 2},
		SlowDeploy:          SlowDeploy{Factor: 2, Baseline: Duration(30 * 24 * time.Hour), MinSamples: 20, Keep: Duration(time.Hour)},
		ConsecutiveFailures: ConsecutiveFailures{Count: 3},
		StuckPending:        StuckPending{After: Duration(30 * time.Minute)},
		AnalysisNoData:      AnalysisNoData{After: Duration(5 * time.Minute)},
		Interval:            Duration(15 * time.Second),
		Runbooks:            Runbooks,
	}
}

func (a *Alerts) validate(p *problems) {
	if r := a.RollbackRate; r.Threshold <= 0 || r.Threshold > 1 {
		p.add("rollbackRate.threshold", r.Threshold, "want a share above 0 and up to 1, such as 0.2")
	}
	if a.RollbackRate.Window < Duration(time.Minute) {
		p.add("rollbackRate.window", a.RollbackRate.Window, "want at least 1m")
	}
	if a.RollbackRate.MinOperations < 1 {
		p.add("rollbackRate.minOperations", a.RollbackRate.MinOperations, "want at least 1")
	}
	if a.SlowDeploy.Factor <= 1 {
		p.add("slowDeploy.factor", a.SlowDeploy.Factor, "want more than 1")
	}
	if a.SlowDeploy.Baseline < Duration(time.Hour) {
		p.add("slowDeploy.baseline", a.SlowDeploy.Baseline, "want at least 1h")
	}
	if a.SlowDeploy.MinSamples < 1 {
		p.add("slowDeploy.minSamples", a.SlowDeploy.MinSamples, "want at least 1")
	}
	if a.ConsecutiveFailures.Count < 1 {
		p.add("consecutiveFailures.count", a.ConsecutiveFailures.Count, "want at least 1")
	}
	if a.SlowDeploy.Keep < Duration(time.Minute) {
		p.add("slowDeploy.keep", a.SlowDeploy.Keep, "want at least 1m")
	}
	if a.StuckPending.After < Duration(time.Minute) {
		p.add("stuckPending.after", a.StuckPending.After, "want at least 1m")
	}
	if a.AnalysisNoData.After < 0 {
		p.add("analysisNoData.after", a.AnalysisNoData.After, "want 0 or more")
	}
	if a.Interval < Duration(time.Second) {
		p.add("interval", a.Interval, "want at least 1s")
	}
	for field, v := range map[string]string{"url": a.URL, "runbooks": a.Runbooks} {
		if v != "" && !webURL(v) {
			p.add(field, v, "want an http or https URL")
		}
	}
	names := map[string]bool{}
	for i := range a.Receivers {
		validateReceiver(p, i, &a.Receivers[i], names)
	}
}

func validateReceiver(parent *problems, i int, r *Receiver, names map[string]bool) {
	p := parent.at(index("receivers", i))
	if r.Name == "" {
		p.add("name", nil, "is missing")
	} else if names[r.Name] {
		p.add("name", r.Name, "is used twice")
	}
	names[r.Name] = true
	if r.Timeout < 0 {
		p.add("timeout", r.Timeout, "want more than 0")
	}
	if r.Repeat < 0 || r.Repeat > 0 && r.Repeat < Duration(10*time.Second) {
		p.add("repeat", r.Repeat, "want at least 10s")
	}
	if r.SecretFile != "" && r.SecretEnv != "" {
		p.add("", nil, "want one of secretFile and secretEnv")
	}
	if r.TokenFile != "" && r.TokenEnv != "" {
		p.add("", nil, "want one of tokenFile and tokenEnv")
	}
	if r.Webhook == "" && (r.SecretFile != "" || r.SecretEnv != "") {
		p.add("", nil, "only a webhook is signed: secretFile and secretEnv go with webhook")
	}
	given := 0
	for _, u := range []struct{ field, value string }{{"alertmanager", r.Alertmanager}, {"webhook", r.Webhook}, {"slack", r.Slack}} {
		if u.value == "" {
			continue
		}
		given++
		// The value may be a secret, so it is not shown.
		if !webURL(u.value) && !reference(u.value) {
			p.add(u.field, "...", "want an http or https URL, env:NAME or file:PATH")
		}
	}
	if given != 1 {
		p.add("", nil, "want exactly one of alertmanager, webhook, slack; found %d", given)
	}
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// reference reports whether s says where a secret is.
func reference(s string) bool {
	return strings.HasPrefix(s, "env:") && len(s) > len("env:") || strings.HasPrefix(s, "file:") && len(s) > len("file:")
}
