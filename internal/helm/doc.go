// Package helm is the user's helm: finding it, reading its command line,
// running it, and understanding what it leaves behind. It holds no Helm code
// and no Kubernetes client.
//
// Start with [Find], ask [MayRecord] whether a command line is worth more than
// a passthrough ([Exec]), and only then [DetectVersion], [Parse] and [Run].
// [NewRedactor] belongs to every text that leaves the process. [DecodeRecord]
// reads what Helm stored about a release, [Classify] what it said on stderr.
package helm
