package emit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

type idsKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// WithIDs returns a context in which the next span started gets these ids, so
// that an observer without memory can write the same span again. The context
// that starting the span returns no longer carries them.
func WithIDs(ctx context.Context, traceID trace.TraceID, spanID trace.SpanID) context.Context {
	return context.WithValue(ctx, idsKey{}, ids{traceID, spanID})
}

type seedKey struct{}

// WithSeed returns a context in which [Emitter.Steps] gives its spans ids that
// follow from the seed and from what they are about: whoever tells the same
// steps again writes the same spans.
func WithSeed(ctx context.Context, seed string) context.Context {
	return context.WithValue(ctx, seedKey{}, seed)
}

// seeded returns ctx with the id of the step that is to be written next, and
// with the seed of its children; ctx itself without a seed.
func seeded(ctx context.Context, about string) context.Context {
	seed, ok := ctx.Value(seedKey{}).(string)
	if !ok {
		return ctx
	}
	seed += "/" + about
	span := SpanIDOf(seed)
	return WithSeed(WithIDs(ctx, trace.SpanContextFromContext(ctx).TraceID(), span), seed)
}

// TraceIDOf is the trace id that follows from a text.
func TraceIDOf(text string) (id trace.TraceID) {
	sum := sha256.Sum256([]byte("trace " + text))
	copy(id[:], sum[:])
	return id
}

// SpanIDOf is the span id that follows from a text; see [TraceIDOf].
func SpanIDOf(text string) (id trace.SpanID) {
	sum := sha256.Sum256([]byte("span " + text))
	copy(id[:], sum[:])
	return id
}

func withoutIDs(ctx context.Context) context.Context {
	if _, ok := ctx.Value(idsKey{}).(ids); !ok {
		return ctx
	}
	return context.WithValue(ctx, idsKey{}, nil)
}

// idGenerator takes ids from the context where [WithIDs] put them, and random
// ones otherwise.
type idGenerator struct{}

func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if want, ok := ctx.Value(idsKey{}).(ids); ok {
		return want.trace, want.span
	}
	var id trace.TraceID
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id, randomSpanID()
}

func (g idGenerator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if want, ok := ctx.Value(idsKey{}).(ids); ok {
		return want.span
	}
	return randomSpanID()
}

func randomSpanID() trace.SpanID {
	var id trace.SpanID
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
