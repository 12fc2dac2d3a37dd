package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"fairlead.dev/fairlead/internal/store/otlpwire"
)

const (
	// chunkItems is the size of a full chunk. Of 100, 250 and 1000 it is where
	// the ratio stops growing and a look-up still decodes in well under a
	// millisecond.
	chunkItems = 250
	// smallChunk is the size below which a chunk is merged with others when it
	// is sealed, and a resource's records in one write share a chunk with others.
	smallChunk = 125
	// mixedChunk is the number of resources above which a chunk is sorted
	// again when it is sealed: a search by service would read it for nothing.
	mixedChunk = 4
	// maxChunkBytes bounds a chunk before compression: some spans are large.
	maxChunkBytes = 4 << 20
	// maxDecoded bounds what a damaged chunk may claim to decompress to: one
	// item of any size that the receivers admit, and the rest of its chunk.
	maxDecoded = 256 << 20
)

// codec compresses and decompresses chunks. What sealing will rewrite soon is
// kept light: compressing it well would be work for minutes' use, a fifth of all
// that small or mixed requests cost.
type codec struct {
	fast, best *zstd.Encoder
	dec        *zstd.Decoder
}

func newCodec() (*codec, error) {
	fast, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("create encoder: %w", err)
	}
	best, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, fmt.Errorf("create encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, fmt.Errorf("create decoder: %w", err)
	}
	return &codec{fast: fast, best: best, dec: dec}, nil
}

// lightChunk begins a chunk that is kept light: one S2 block, without columns.
// Any other chunk begins with the length of its columns, which is not 0.
const lightChunk = 0

// decode returns a chunk's body, an encoded TracesData or LogsData.
func (c *codec) decode(kind Kind, data []byte) ([]byte, error) {
	columns, body, err := c.decompress(data)
	if err != nil || columns == nil {
		return body, err
	}
	return join(kind, columns, body)
}

// pick calls visit for the items of a chunk that may be of the traces that want
// names: where there are columns, others are not put together again. It returns
// the bytes that were decompressed.
func (c *codec) pick(kind Kind, data []byte, want func(otlpwire.TraceID) bool, visit func(otlpwire.Item)) (int, error) {
	columns, body, err := c.decompress(data)
	if err != nil {
		return 0, err
	}
	n := len(columns) + len(body)
	if columns != nil {
		return n, rejoin(kind, columns, body, want, visit)
	}
	return n, walkAll(body, visit)
}

// walkAll calls visit for each item of a chunk's body.
func walkAll(body []byte, visit func(otlpwire.Item)) error {
	err := otlpwire.Walk(body, func(it otlpwire.Item) bool {
		visit(it)
		return true
	})
	if err != nil {
		return fmt.Errorf("%w: %w: %w", ErrCorrupt, ErrBadChunk, err)
	}
	return nil
}

// decompress returns a chunk's columns and the rest; columns are nil where it
// has none.
func (c *codec) decompress(data []byte) (columns, body []byte, err error) {
	n, k := binary.Uvarint(data)
	if k <= 0 || n > uint64(len(data)-k) {
		return nil, nil, fmt.Errorf("%w: %w: shorter than its columns", ErrCorrupt, ErrBadChunk)
	}
	if n == lightChunk {
		body, err = decodeLight(data[k:])
		return nil, body, err
	}
	if columns, err = c.dec.DecodeAll(data[k:k+int(n)], []byte{}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w: decompress columns: %w", ErrCorrupt, ErrBadChunk, err)
	}
	if body, err = c.dec.DecodeAll(data[k+int(n):], nil); err != nil {
		return nil, nil, fmt.Errorf("%w: %w: decompress: %w", ErrCorrupt, ErrBadChunk, err)
	}
	return columns, body, nil
}

func decodeLight(block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err == nil && n > maxDecoded {
		err = fmt.Errorf("claims to hold %d bytes", n)
	}
	var body []byte
	if err == nil {
		body, err = s2.Decode(nil, block)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w: decompress: %w", ErrCorrupt, ErrBadChunk, err)
	}
	return body, nil
}

// itemsOf returns the items of a part and about how many bytes they take.
func itemsOf(part []resolved) (items []otlpwire.Item, size int) {
	items = make([]otlpwire.Item, len(part))
	res := int64(-1)
	for i, r := range part {
		items[i] = r.Item
		size += len(r.Raw) + 8
		if r.res != res {
			size += len(r.Resource) + len(r.Scope) + 16
			res = r.res
		}
	}
	return items, size
}

// light encodes the part with the least work.
func light(part []resolved) []byte {
	items, size := itemsOf(part)
	body := otlpwire.Append(make([]byte, 0, size), items)
	data := make([]byte, 1+s2.MaxEncodedLen(len(body)))
	data[0] = lightChunk
	return data[:1+len(s2.Encode(data[1:], body))]
}

// compress encodes the part: its columns and the rest, each compressed.
func (c *codec) compress(kind Kind, part []resolved) ([]byte, error) {
	items, size := itemsOf(part)
	columns, rest, err := split(kind, items)
	if err != nil {
		return nil, err
	}
	packed := c.fast.EncodeAll(columns, nil)
	data := binary.AppendUvarint(make([]byte, 0, len(packed)+size/8), uint64(len(packed)))
	data = append(data, packed...)
	return c.best.EncodeAll(otlpwire.Append(make([]byte, 0, size), rest), data), nil
}

// chunk is one row of the chunks table with its index entries.
type chunk struct {
	id         int64
	kind       Kind
	n          int
	mint, maxt int64
	data       []byte
	res        []chunkResource
	errors     []errorSpan
	keys       []uint64 // distinct trace keys
}

// final reports whether sealing would leave the chunk as it is.
func (c *chunk) final() bool { return c.n >= smallChunk && len(c.res) <= mixedChunk }

type chunkResource struct{ id, mint, maxt int64 }

type errorSpan struct {
	res, start int64
	idx        int
}

// resolved is a record whose resource has its id in the file.
type resolved struct {
	*Record
	res int64
}

// plan sorts records by resource, keeping the order within one, and cuts them
// into chunks: a resource with enough records gets chunks of its own of about
// equal size, the others share.
func plan(records []resolved) [][]resolved {
	count := map[int64]int{}
	var order []int64
	for _, r := range records {
		if count[r.res] == 0 {
			order = append(order, r.res)
		}
		count[r.res]++
	}
	groups := make(map[int64][]resolved, len(order))
	for _, r := range records {
		g := groups[r.res]
		if g == nil {
			g = make([]resolved, 0, count[r.res])
		}
		groups[r.res] = append(g, r)
	}
	var parts [][]resolved
	var shared []resolved
	for _, id := range order {
		if g := groups[id]; len(g) >= smallChunk {
			parts = cut(parts, g)
		} else {
			shared = append(shared, g...)
		}
	}
	return cut(parts, shared)
}

func cut(parts [][]resolved, group []resolved) [][]resolved {
	if len(group) == 0 {
		return parts
	}
	k := max(1, (len(group)+chunkItems/2)/chunkItems)
	size := (len(group) + k - 1) / k
	for len(group) > 0 {
		n, bytes := 0, 0
		for n < min(size, len(group)) && (n == 0 || bytes < maxChunkBytes) {
			bytes += len(group[n].Raw)
			n++
		}
		parts = append(parts, group[:n])
		group = group[n:]
	}
	return parts
}

// describe makes a chunk of one part of a plan, without its body.
func describe(kind Kind, part []resolved) *chunk {
	ch := &chunk{kind: kind, n: len(part), mint: part[0].Time, maxt: part[0].Time}
	seen := make(map[uint64]struct{}, len(part))
	for i, r := range part {
		ch.mint, ch.maxt = min(ch.mint, r.Time), max(ch.maxt, r.Time)
		if n := len(ch.res); n == 0 || ch.res[n-1].id != r.res {
			ch.res = append(ch.res, chunkResource{r.res, r.Time, r.Time})
		}
		last := &ch.res[len(ch.res)-1]
		last.mint, last.maxt = min(last.mint, r.Time), max(last.maxt, r.Time)
		if r.Error {
			ch.errors = append(ch.errors, errorSpan{r.res, r.Time, i})
		}
		if k := traceKey(r.Trace); k != 0 {
			if _, ok := seen[k]; !ok {
				seen[k] = struct{}{}
				ch.keys = append(ch.keys, k)
			}
		}
	}
	return ch
}

// encode makes a chunk of one part of a plan that is not sealed yet.
func (c *codec) encode(kind Kind, part []resolved) (_ *chunk, err error) {
	ch := describe(kind, part)
	if !ch.final() {
		ch.data = light(part)
		return ch, nil
	}
	ch.data, err = c.compress(kind, part)
	return ch, err
}

// encodeSealed makes a chunk that is not rewritten again.
func (c *codec) encodeSealed(kind Kind, part []resolved) (_ *chunk, err error) {
	ch := describe(kind, part)
	ch.data, err = c.compress(kind, part)
	return ch, err
}
