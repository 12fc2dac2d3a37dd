package config

import (
	"net/url"
	"time"
)

// Alerts are the thresholds of the built-in alerts and who is told.
type Alerts struct {
	Enabled bool `yaml:"enabled"`

	RollbackRate        RollbackRate        `yaml:"rollbackRate"`
	SlowDeploy          SlowDeploy          `yaml:"slowDeploy"`
	ConsecutiveFailures ConsecutiveFailures `yaml:"consecutiveFailures"`

	Receivers []Receiver `yaml:"receivers"`
}

// RollbackRate fires when rollbacks over completed deployments exceed
// Threshold (a share) within Window, with at least MinOperations of them.
type RollbackRate struct {
	Threshold     float64  `yaml:"threshold"`
	Window        Duration `yaml:"window"`
	MinOperations int      `yaml:"minOperations"`
}

// SlowDeploy fires when a deployment takes more than Factor times the P99 of
// the release's successes within Baseline, given MinSamples of them.
type SlowDeploy struct {
	Factor     float64  `yaml:"factor"`
	Baseline   Duration `yaml:"baseline"`
	MinSamples int      `yaml:"minSamples"`
}

// ConsecutiveFailures fires when more than Count deployments of a release
// failed in a row.
type ConsecutiveFailures struct {
	Count int `yaml:"count"`
}

// Receiver is told of alerts. Exactly one of the URLs is set.
type Receiver struct {
	Name         string `yaml:"name"`
	Alertmanager string `yaml:"alertmanager"` // base URL of an Alertmanager
	Webhook      string `yaml:"webhook"`      // gets Alertmanager's webhook JSON
	Slack        string `yaml:"slack"`        // incoming webhook URL
	// SecretFile holds the key that webhook bodies are signed with (HMAC-SHA256).
	SecretFile string   `yaml:"secretFile"`
	Timeout    Duration `yaml:"timeout"` // default 10s
}

func defaultAlerts() Alerts {
	return Alerts{
		Enabled:             true,
		RollbackRate:        RollbackRate{Threshold: 0.20, Window: Duration(time.Hour), MinOperations: 2},
		SlowDeploy:          SlowDeploy{Factor: 2, Baseline: Duration(30 * 24 * time.Hour), MinSamples: 20},
		ConsecutiveFailures: ConsecutiveFailures{Count: 3},
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
	given := 0
	for _, u := range []struct{ field, value string }{{"alertmanager", r.Alertmanager}, {"webhook", r.Webhook}, {"slack", r.Slack}} {
		if u.value == "" {
			continue
		}
		given++
		if parsed, err := url.Parse(u.value); err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
			p.add(u.field, "...", "want an http or https URL")
		}
	}
	if given != 1 {
		p.add("", nil, "want exactly one of alertmanager, webhook, slack; found %d", given)
	}
}
