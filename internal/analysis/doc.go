// Package analysis judges a canary: samples of two tracks in, evidence and a
// verdict out. It is pure: no clock, no client, no I/O. The statistics are in
// analysis/sequential.
//
// The way through it:
//
//	raw counters of a [Source]        Samples, as scraped, cumulative
//	  -> Assemble                     Intervals: what every series gained between two scrapes
//	  -> Freeze (stable's history)    Frozen: bounds, weights, guard; fixed before the first look
//	  -> New, Begin, Add, Verdict     Judge: the fold, a Verdict at any time
//
// Everything is a deterministic fold over the samples: the same Config, Frozen,
// steps and intervals give the same verdicts, whoever folds them again.
package analysis
