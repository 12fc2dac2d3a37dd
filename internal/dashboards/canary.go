package dashboards

// preset is one set of names for HTTP server telemetry.
type preset struct{ requests, errors, bucket, legend string }

const who = `service_name=~"$service",deployment_environment=~"$environment"`

// presets are those of contracts 2: the current conventions, and the older
// counters. Each target of a panel has one; what is not there shows nothing.
func presets() []preset {
	return []preset{
		{`http_server_request_duration_seconds_count{` + who + `}`, `http_server_request_duration_seconds_count{` + who + `,http_response_status_code=~"5.."}`,
			`http_server_request_duration_seconds_bucket{` + who + `}`, ""},
		{`http_server_request_total{` + who + `}`, `http_server_request_errors_total{` + who + `}`, `http_server_request_duration_bucket{` + who + `}`, " (legacy)"},
	}
}

func rate(series, by string) string {
	return `sum by (` + by + `) (rate(` + series + `[$__rate_interval]))`
}

// canary shows spec B2: error rate, p99 and traffic of canary and stable.
func canary() Dashboard {
	var l layout
	var errors, latency, requests, routes, share []Target
	for _, p := range presets() {
		all := rate(p.requests, "deployment_track")
		// A service that never failed has no series of errors: that is 0 where
		// there are requests, not missing.
		errors = append(errors, query(`(`+rate(p.errors, "deployment_track")+` or 0 * `+all+`) / (`+all+` > 0)`, "{{deployment_track}}"+p.legend))
		latency = append(latency, query(`histogram_quantile(0.99, `+rate(p.bucket, "le, deployment_track")+`)`, "{{deployment_track}}"+p.legend))
		requests = append(requests, query(all, "{{deployment_track}}"+p.legend))
		routes = append(routes, query(`histogram_quantile(0.99, `+rate(p.bucket, "le, deployment_track, http_route")+`)`, "{{deployment_track}} {{http_route}}"+p.legend))
		share = append(share, now(`sum(rate(`+selecting(p.requests, `deployment_track="canary"`)+`[$__rate_interval])) / (sum(rate(`+p.requests+`[$__rate_interval])) > 0)`, "canary"+p.legend))
	}
	gauge := stat("Traffic of the canary", "The canary's share of the requests now.", "percentunit", share...)
	gauge.Type = "gauge"
	gauge.Options = map[string]any{"showThresholdLabels": false, "showThresholdMarkers": true,
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
	gauge.FieldConfig.Defaults.Min, gauge.FieldConfig.Defaults.Max = number(0), number(1)
	l.add(6, 8, gauge)
	l.add(18, 8, series("Requests by track", "Requests a second.", "reqps", requests...))
	l.add(12, 9, series("Error rate, canary and stable", "Failed requests of all requests. No line: no requests, which is no success.", "percentunit", errors...))
	l.add(12, 9, series("P99 latency, canary and stable", "From the histogram's buckets, in its unit: seconds with the current conventions, as configured with the older names.", "short", latency...))
	l.row("By route")
	l.add(24, 9, series("P99 latency by route", "A fault of one route hides in the whole.", "short", routes...))

	l.row("Analysis")
	subject := `canary_service=~"$service"`
	l.add(8, 7, series("Decision", "1 for the decision of the newest analysis.", "none", query(`max by (canary_version, canary_decision) (canary_decision_ratio{`+subject+`})`, "{{canary_decision}} {{canary_version}}")))
	l.add(8, 7, series("Evidence of harm", "As odds to one; on a logarithmic scale.", "none", query(`max by (canary_version) (canary_evidence_ratio{`+subject+`})`, "{{canary_version}}")))
	l.add(8, 7, series("Share of traffic seen by the analysis", "The canary's share of the step's requests.", "percentunit", query(`max by (canary_version) (canary_traffic_share_ratio{`+subject+`})`, "{{canary_version}}")))
	l.panels[len(l.panels)-2].FieldConfig.Defaults.Custom["scaleDistribution"] = map[string]any{"type": "log", "log": 10}
	l.panels[len(l.panels)-2].FieldConfig.Defaults.Min = nil

	variables := []Variable{
		source("datasource", "Metrics", "prometheus"),
		single("service", "Service", `label_values({__name__=~"http_server_request_duration_seconds_count|http_server_request_total",deployment_track="canary"}, service_name)`),
		choice("environment", "Environment", `label_values({__name__=~"http_server_request_duration_seconds_count|http_server_request_total",service_name=~"$service"}, deployment_environment)`),
	}
	return dashboard("fairlead-canary", "Canary and stable", "A canary beside its stable version: errors, latency, traffic, and what the analysis says.", "now-1h", variables, l)
}

// selecting adds a matcher to a selector.
func selecting(selector, matcher string) string {
	return selector[:len(selector)-1] + "," + matcher + "}"
}
