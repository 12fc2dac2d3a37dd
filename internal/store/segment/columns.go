package segment

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

// Ids and times are most of what does not compress in a record, and spread
// among the rest they spoil what does: kept in columns of their own a span
// takes 13 % less. A record's columns are taken out of its message and put
// back in front of it; protobuf gives no meaning to the order of fields.

// layout names the fields of a message that have columns.
type layout struct {
	ids   []idColumn
	times [2]protowire.Number // the second is kept as the difference from the first
}

type idColumn struct {
	num  protowire.Number
	size int
}

var layouts = [kinds]layout{
	Spans: {ids: []idColumn{{1, 16}, {2, 8}, {4, 8}}, times: [2]protowire.Number{7, 8}},
	Logs:  {ids: []idColumn{{9, 16}, {10, 8}}, times: [2]protowire.Number{1, 11}},
}

// maxColumns is the most bytes that an item's columns take as fields.
const maxColumns = 18 + 10 + 10 + 9 + 9

// timeFlag is the bit of the first time in an item's flags; those of the ids
// are below.
const timeFlag = 1 << 4

// split takes the columns out of items. In the columns: the number of items,
// their flags (which columns an item has), the ids one column after the other,
// the times as varints.
func split(kind Kind, items []otlpwire.Item) (columns []byte, rest []otlpwire.Item, err error) {
	l := layouts[kind]
	rest = make([]otlpwire.Item, len(items))
	flags := make([]byte, len(items))
	ids := make([][]byte, len(l.ids))
	var times []byte
	var last uint64
	size := 0
	for _, it := range items {
		size += len(it.Raw)
	}
	buf := make([]byte, 0, size)
	for i, it := range items {
		begin := len(buf)
		var at [2]uint64
		for raw := it.Raw; len(raw) > 0; {
			num, typ, tag := protowire.ConsumeTag(raw)
			if tag < 0 {
				return nil, nil, fmt.Errorf("%w: %w", otlpwire.ErrMalformed, protowire.ParseError(tag))
			}
			n := protowire.ConsumeFieldValue(num, typ, raw[tag:])
			if n < 0 {
				return nil, nil, fmt.Errorf("%w: %w", otlpwire.ErrMalformed, protowire.ParseError(n))
			}
			value := raw[tag : tag+n]
			if !take(l, num, typ, value, &flags[i], ids, &at) {
				buf = append(buf, raw[:tag+n]...)
			}
			raw = raw[tag+n:]
		}
		rest[i] = otlpwire.Item{Resource: it.Resource, Scope: it.Scope, Raw: buf[begin:len(buf):len(buf)]}
		if flags[i]&timeFlag != 0 {
			times = binary.AppendVarint(times, int64(at[0]-last))
			last = at[0]
		}
		if flags[i]&(timeFlag<<1) != 0 {
			times = binary.AppendVarint(times, int64(at[1]-at[0]))
		}
	}
	columns = binary.AppendUvarint(nil, uint64(len(items)))
	columns = append(columns, flags...)
	for _, id := range ids {
		columns = append(columns, id...)
	}
	return append(columns, times...), rest, nil
}

// take moves a field into its column; false when it has none, or the item has
// a field of that number there already.
func take(l layout, num protowire.Number, typ protowire.Type, value []byte, flags *byte, ids [][]byte, at *[2]uint64) bool {
	for c, id := range l.ids {
		if num != id.num || typ != protowire.BytesType || *flags&(1<<c) != 0 {
			continue
		}
		b, _ := protowire.ConsumeBytes(value)
		if len(b) != id.size {
			return false
		}
		*flags |= 1 << c
		ids[c] = append(ids[c], b...)
		return true
	}
	for c, time := range l.times {
		if num == time && typ == protowire.Fixed64Type && *flags&(timeFlag<<c) == 0 {
			*flags |= timeFlag << c
			at[c] = binary.LittleEndian.Uint64(value)
			return true
		}
	}
	return false
}

// traceColumn is the place of the trace id among the ids of a layout.
const traceColumn = 0

// join puts the columns back into the items of body.
func join(kind Kind, columns, body []byte) ([]byte, error) {
	var items []otlpwire.Item
	size := 0
	err := rejoin(kind, columns, body, nil, func(it otlpwire.Item) {
		items = append(items, it)
		size += len(it.Raw)
	})
	if err != nil {
		return nil, err
	}
	return otlpwire.Append(make([]byte, 0, size+len(body)/4), items), nil
}

// rejoin calls visit for the items of body, with their columns put back. With
// want, items that have another trace id in their column are passed over.
func rejoin(kind Kind, columns, body []byte, want func(otlpwire.TraceID) bool, visit func(otlpwire.Item)) error {
	l := layouts[kind]
	bad := fmt.Errorf("%w: %w: columns do not fit the chunk", ErrCorrupt, ErrBadChunk)
	n, k := binary.Uvarint(columns)
	if k <= 0 || n > uint64(len(columns)-k) {
		return bad
	}
	flags, columns := columns[k:k+int(n)], columns[k+int(n):]
	ids := make([][]byte, len(l.ids))
	for c, id := range l.ids {
		size := 0
		for _, f := range flags {
			if f&(1<<c) != 0 {
				size += id.size
			}
		}
		if size > len(columns) {
			return bad
		}
		ids[c], columns = columns[:size], columns[size:]
	}
	var buf []byte // one for all items, or one for each of the few
	if want == nil {
		buf = make([]byte, 0, len(body)+int(n)*maxColumns)
	}
	var last uint64
	seen := 0
	ok := true
	time := func() uint64 {
		v, k := binary.Varint(columns)
		if k <= 0 {
			ok = false
			return 0
		}
		columns = columns[k:]
		return uint64(v)
	}
	err := otlpwire.Walk(body, func(it otlpwire.Item) bool {
		if seen == int(n) {
			ok = false
			return false
		}
		f := flags[seen]
		seen++
		wanted := true
		if want != nil {
			if wanted = f&(1<<traceColumn) == 0 || want(otlpwire.TraceID(ids[traceColumn][:l.ids[traceColumn].size])); wanted {
				buf = make([]byte, 0, len(it.Raw)+maxColumns)
			}
		}
		begin := len(buf)
		for c, id := range l.ids {
			if f&(1<<c) == 0 {
				continue
			}
			if wanted {
				buf = protowire.AppendTag(buf, id.num, protowire.BytesType)
				buf = protowire.AppendBytes(buf, ids[c][:id.size])
			}
			ids[c] = ids[c][id.size:]
		}
		var at [2]uint64
		if f&timeFlag != 0 {
			last += time()
			at[0] = last
		}
		if f&(timeFlag<<1) != 0 {
			at[1] = at[0] + time()
		}
		if !wanted {
			return ok
		}
		for c, num := range l.times {
			if f&(timeFlag<<c) != 0 {
				buf = protowire.AppendTag(buf, num, protowire.Fixed64Type)
				buf = protowire.AppendFixed64(buf, at[c])
			}
		}
		buf = append(buf, it.Raw...)
		visit(otlpwire.Item{Resource: it.Resource, Scope: it.Scope, Raw: buf[begin:len(buf):len(buf)]})
		return ok
	})
	if err != nil {
		return fmt.Errorf("%w: %w: %w", ErrCorrupt, ErrBadChunk, err)
	}
	if !ok || seen != int(n) {
		return bad
	}
	return nil
}
