// Package segment keeps spans and log records in SQLite databases, one file a
// time span, in the layout that docs/format/store.md describes.
//
// A File takes records in their OTLP protobuf form, groups them into
// compressed chunks of about 250 of one resource, and indexes the chunks by
// resource and time, by trace id, and the spans with an error by resource and
// time. Start with Open; Append writes, Snapshot reads, Seal turns what small
// writes left behind into full chunks.
package segment

// Kind is what a chunk holds. The numbers are on disk.
type Kind uint8

// The kinds of records.
const (
	Spans Kind = 0
	Logs  Kind = 1

	kinds = 2
)

// String names the kind in messages.
func (k Kind) String() string {
	if k == Logs {
		return "logs"
	}
	return "spans"
}
