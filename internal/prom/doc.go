// Package prom reads the samples that a canary is judged by from anything that
// speaks PromQL: Prometheus, Mimir, Thanos, VictoriaMetrics and the like over
// HTTP, and a storage.Queryable in this process. [Source] is the
// analysis.Source; [Client] and [Local] are the two backends behind it.
//
// It asks for raw samples (a range selector, evaluated once) and never for
// rate() or increase(): those extrapolate, and a window that slides over the
// same increments twice would invent evidence. A look is at most four
// requests, whatever the number of routes, pods and tracks.
package prom
