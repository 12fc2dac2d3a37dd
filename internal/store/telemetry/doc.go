// Package telemetry is the embedded store of traces and logs: OTLP in, search
// out, in a directory of SQLite files (package segment), one a day.
//
// Start with Open. ConsumeTraces and ConsumeLogs return when what they were
// given is committed; SearchSpans, Trace and SearchLogs find it from then on.
package telemetry
