// Package recording reads and writes recorded traffic: the raw samples of both
// tracks over a rollout and the hour before it. A recording is an OpenMetrics
// text file with timestamps, as `promtool tsdb create-blocks-from openmetrics`
// takes it (plain, .gz or .zst), or the directory of a Prometheus TSDB.
package recording
