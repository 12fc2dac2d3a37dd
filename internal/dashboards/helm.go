package dashboards

// All returns the dashboards in the order of the documentation.
func All() []Dashboard { return []Dashboard{helm(), deployment(), canary()} }

// which selects releases by the variables.
const which = `k8s_cluster_name=~"$cluster",helm_namespace=~"$namespace",helm_release=~"$release"`

// FailureReasons are the reasons of Kubernetes events that tell of a failure.
const FailureReasons = "Failed|BackOff|FailedScheduling|FailedMount|FailedAttachVolume|FailedCreate|FailedCreatePodSandBox|Unhealthy|Evicted|BackoffLimitExceeded|DeadlineExceeded|ProgressDeadlineExceeded|OOMKilling|ErrImageNeverPull|InspectFailed"

func releaseVariables() []Variable {
	return []Variable{
		source("datasource", "Metrics", "prometheus"),
		source("logs", "Logs", "loki"),
		choice("cluster", "Cluster", `label_values(helm_deploy_count_total, k8s_cluster_name)`),
		choice("namespace", "Namespace", `label_values(helm_deploy_count_total{k8s_cluster_name=~"$cluster"}, helm_namespace)`),
	}
}

// helm shows spec A4: frequency, duration, rollback rate, releases, failures.
func helm() Dashboard {
	var l layout
	deploys := `increase(helm_deploy_count_total{` + which + `}[$__rate_interval])`
	l.add(6, 4, stat("Deployments", "Installs and upgrades that ended in the time shown.", "short",
		now(`sum(round(increase(helm_deploy_count_total{`+which+`}[$__range])))`, "")))
	l.add(6, 4, limits(stat("Failed", "Share of the deployments in the time shown that failed.", "percentunit",
		now(`sum(increase(helm_deploy_count_total{`+which+`,helm_success="false"}[$__range])) / (sum(increase(helm_deploy_count_total{`+which+`}[$__range])) > 0)`, "")),
		Threshold{"orange", number(0.05)}, Threshold{"red", number(0.2)}))
	l.add(6, 4, limits(stat("Rollback rate", "Rollbacks, automatic and by hand, over deployments in the time shown. The alert fires above 20 % within an hour.", "percentunit",
		now(`sum(increase(helm_rollback_count_total{`+which+`}[$__range])) / (sum(increase(helm_deploy_count_total{`+which+`}[$__range])) > 0)`, "")),
		Threshold{"orange", number(0.1)}, Threshold{"red", number(0.2)}))
	l.add(6, 4, stat("Last deployment took", "Duration of the newest deployment.", "s",
		now(`max(helm_release_last_duration_seconds{`+which+`} and on (k8s_cluster_name, helm_namespace, helm_release) topk(1, helm_release_last_deploy_time_seconds{`+which+`}))`, "")))

	l.row("Deployment frequency")
	l.add(12, 8, bars("By release", "Installs and upgrades in each step of the picture.", query(`sum by (helm_release) (round(`+deploys+`))`, "{{helm_release}}")))
	l.add(12, 8, bars("By namespace", "Installs and upgrades in each step of the picture.", query(`sum by (helm_namespace) (round(`+deploys+`))`, "{{helm_namespace}}")))

	l.row("Deployment duration")
	duration := `sum by (le) (increase(helm_deploy_duration_seconds_bucket{` + which + `}[$__range]))`
	l.add(8, 8, series("P50, P90, P99", "Over the time shown up to each moment, from the histogram's buckets: exact to a bucket.", "s",
		query(`histogram_quantile(0.5, `+duration+`)`, "P50"), query(`histogram_quantile(0.9, `+duration+`)`, "P90"), query(`histogram_quantile(0.99, `+duration+`)`, "P99")))
	l.add(8, 8, Panel{Type: "bargauge", Title: "Histogram", Description: "Deployments of the time shown by how long they took.", Datasource: metricsSource,
		Targets:     letters([]Target{{Datasource: metricsSource, Expr: `round(` + duration + `)`, Format: "heatmap", LegendFormat: "{{le}} s", Instant: true}}),
		FieldConfig: FieldConfig{Defaults: FieldDefaults{Unit: "short", Decimals: whole(0), Min: number(0)}},
		Options: map[string]any{"orientation": "horizontal", "displayMode": "basic",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}})
	l.add(8, 8, series("Trend by release", "Each release's last deployment. A line that rises is a release that becomes slower.", "s",
		query(`helm_release_last_duration_seconds{`+which+`}`, "{{helm_namespace}}/{{helm_release}}")))

	l.row("Rollbacks")
	l.add(12, 8, limits(series("Rollback rate, 1 h", "Rollbacks over deployments of the last hour, by namespace; nothing where there was no deployment.", "percentunit",
		query(`sum by (helm_namespace) (increase(helm_rollback_count_total{`+which+`}[1h])) / (sum by (helm_namespace) (increase(helm_deploy_count_total{`+which+`}[1h])) > 0)`, "{{helm_namespace}}")),
		Threshold{"red", number(0.2)}))
	l.add(12, 8, bars("Rollbacks by release", "Automatic and by hand, in each step of the picture.",
		query(`sum by (helm_release, helm_success) (round(increase(helm_rollback_count_total{`+which+`}[$__rate_interval])))`, "{{helm_release}} (success {{helm_success}})")))

	l.row("Releases")
	l.add(24, 9, releaseTable())
	l.add(24, 9, logs("Recent failures", "Kubernetes events that tell of a failure, of all namespaces.", `{service_name=~".+"} | k8s_event_reason=~"`+FailureReasons+`"`))
	variables := append(releaseVariables(), choice("release", "Release", `label_values(helm_deploy_count_total{k8s_cluster_name=~"$cluster",helm_namespace=~"$namespace"}, helm_release)`))
	return dashboard("fairlead-helm", "Helm health", "Deployments, durations, rollbacks and releases, from the metrics of fairlead's server or agent.", "now-7d", variables, l)
}

func releaseTable() Panel {
	table := func(metric, factor string) Target {
		return Target{Datasource: metricsSource, Expr: `max by (k8s_cluster_name, helm_namespace, helm_release) (` + metric + `{` + which + `})` + factor, Format: "table", Instant: true}
	}
	unit := func(field, unit string) Override {
		return Override{Matcher: map[string]any{"id": "byName", "options": field}, Properties: []map[string]any{{"id": "unit", "value": unit}}}
	}
	return Panel{Type: "table", Title: "Active releases", Description: "Every installed release with its revision and its last deployment that went well.", Datasource: metricsSource,
		Targets: letters([]Target{
			table("helm_release_revision", ""), table("helm_release_last_deploy_time_seconds", " * 1000"),
			table("helm_release_last_duration_seconds", ""), table("helm_release_consecutive_failures", ""),
		}),
		FieldConfig: FieldConfig{Overrides: []Override{unit("Last deploy", "dateTimeFromNow"), unit("Took", "s")}},
		Options:     map[string]any{"showHeader": true, "sortBy": []map[string]any{{"displayName": "Last deploy", "desc": true}}},
		Transformations: []Transformation{
			{ID: "merge", Options: map[string]any{}},
			{ID: "organize", Options: map[string]any{
				"excludeByName": map[string]bool{"Time": true},
				"renameByName": map[string]string{"k8s_cluster_name": "Cluster", "helm_namespace": "Namespace", "helm_release": "Release",
					"Value #A": "Revision", "Value #B": "Last deploy", "Value #C": "Took", "Value #D": "Failed in a row"},
			}},
		},
	}
}

// deployment shows one release.
func deployment() Dashboard {
	var l layout
	l.add(5, 4, stat("Revision", "The newest revision.", "none", now(`max(helm_release_revision{`+which+`})`, "")))
	l.add(5, 4, stat("Last deployed", "The last deployment that went well.", "dateTimeFromNow", now(`max(helm_release_last_deploy_time_seconds{`+which+`}) * 1000`, "")))
	l.add(5, 4, stat("Took", "The last deployment.", "s", now(`max(helm_release_last_duration_seconds{`+which+`})`, "")))
	l.add(5, 4, limits(stat("Failed in a row", "Deployments since the last one that went well. The alert fires above 3.", "none", now(`max(helm_release_consecutive_failures{`+which+`})`, "")),
		Threshold{"orange", number(1)}, Threshold{"red", number(4)}))
	l.add(4, 4, limits(stat("Deployments compared with", "Successful deployments of the last 30 days: the alert on slow ones needs 20.", "short",
		now(`sum(round(increase(helm_deploy_duration_seconds_count{`+which+`,helm_success="true"}[30d])))`, "")), Threshold{"green", number(20)}))

	l.row("Duration")
	base := `sum by (le) (increase(helm_deploy_duration_seconds_bucket{` + which + `,helm_success="true"}[30d]))`
	l.add(16, 9, series("Duration and its P99 baseline", "Each deployment against the P99 of the successes of 30 days, and twice that, above which the alert fires. The P99 is read from buckets.", "s",
		query(`max(helm_release_last_duration_seconds{`+which+`})`, "last deployment"),
		query(`histogram_quantile(0.99, `+base+`)`, "P99, 30 days"), query(`2 * histogram_quantile(0.99, `+base+`)`, "limit")))
	l.add(8, 9, bars("Outcomes", "Deployments in each step of the picture.",
		query(`sum by (helm_success) (round(increase(helm_deploy_count_total{`+which+`}[$__rate_interval])))`, "success {{helm_success}}")))

	l.row("What happened")
	l.add(12, 8, series("Revision", "Steps up are deployments and rollbacks.", "none", query(`max(helm_release_revision{`+which+`})`, "revision")))
	l.add(12, 8, bars("Rollbacks", "Automatic and by hand, in each step of the picture.",
		query(`sum by (helm_success) (round(increase(helm_rollback_count_total{`+which+`}[$__rate_interval])))`, "success {{helm_success}}")))
	l.add(24, 10, logs("Kubernetes events", "Events that fairlead joined to the release, warnings and others.", `{service_name=~".+"} | k8s_event_reason!="" | helm_release=~"$release"`))
	variables := append(releaseVariables(), single("release", "Release", `label_values(helm_deploy_count_total{k8s_cluster_name=~"$cluster",helm_namespace=~"$namespace"}, helm_release)`))
	return dashboard("fairlead-deployment", "Deployment of a release", "One release: its deployments, how long they took beside the usual, and what Kubernetes said.", "now-7d", variables, l)
}
