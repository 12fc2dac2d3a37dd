package prom

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"fairlead.dev/fairlead/internal/analysis"
)

// rawHistogram is a histogram as the HTTP API writes it: buckets by their
// bounds, without the empty ones, and without the schema.
type rawHistogram struct {
	count   float64
	buckets []rawBucket
}

// rawBucket has a rule for its bounds: 0 (lower, upper], 1 [lower, upper),
// 2 (lower, upper), 3 [lower, upper].
type rawBucket struct {
	rule                int
	lower, upper, count float64
}

// finestSchema is Prometheus' highest resolution; a histogram without buckets
// has it, so that it merges with any other.
const finestSchema = 8

// points turns a series' histograms into points. One that has custom bounds
// makes all of them classic: a series has one layout.
func points(times []int64, raw []rawHistogram) []Point {
	schemas := make([]int8, len(raw))
	custom := false
	for i, h := range raw {
		schema, ok := h.schema()
		schemas[i] = schema
		custom = custom || !ok
	}
	var bounds []float64
	if custom {
		for _, h := range raw {
			for _, b := range h.buckets {
				bounds = append(bounds, b.upper)
			}
		}
		bounds = sortedBounds(bounds)
	}
	out := make([]Point, len(raw))
	for i, h := range raw {
		out[i] = Point{T: times[i]}
		if custom {
			out[i].H = h.classic(bounds)
			continue
		}
		out[i].H = h.native(schemas[i])
	}
	return out
}

// schema finds the resolution from the buckets' bounds, upper/lower being
// 2^(2^-schema), and false when they are not exponential.
func (h rawHistogram) schema() (int8, bool) {
	schema, found := int8(finestSchema), false
	for _, b := range h.buckets {
		if b.rule != 0 { // the zero bucket, or one of negative values
			continue
		}
		if b.lower <= 0 || math.IsInf(b.upper, 1) {
			return 0, false
		}
		s := math.Round(-math.Log2(math.Log2(b.upper / b.lower)))
		if s < -4 || s > finestSchema || found && int8(s) != schema {
			return 0, false
		}
		schema, found = int8(s), true
		index := math.Log2(b.upper) * math.Exp2(s)
		if math.Abs(index-math.Round(index)) > 1e-6*math.Max(1, math.Abs(index)) {
			return 0, false
		}
	}
	return schema, true
}

func (h rawHistogram) native(schema int8) *analysis.Histogram {
	out := &analysis.Histogram{Schema: schema, Counts: []float64{}}
	first, last := math.MaxInt32, math.MinInt32
	index := func(b rawBucket) int { return int(math.Round(math.Log2(b.upper) * math.Exp2(float64(schema)))) }
	for _, b := range h.buckets {
		if b.rule == 0 {
			first, last = min(first, index(b)), max(last, index(b))
		}
	}
	if first <= last {
		out.First, out.Counts = int32(first), make([]float64, last-first+1)
	}
	for _, b := range h.buckets {
		if b.rule == 0 {
			out.Counts[index(b)-first] += b.count
		} else {
			out.Zero += b.count
		}
	}
	return out
}

func (h rawHistogram) classic(bounds []float64) *analysis.Histogram {
	out := &analysis.Histogram{Bounds: bounds, Counts: make([]float64, len(bounds))}
	for _, b := range h.buckets {
		i, _ := slices.BinarySearch(bounds, b.upper)
		out.Counts[i] += b.count
	}
	return out
}

// fromFloat converts a stored histogram.
func fromFloat(h *histogram.FloatHistogram) *analysis.Histogram {
	if h.UsesCustomBuckets() {
		out := &analysis.Histogram{Bounds: append(slices.Clone(h.CustomValues), math.Inf(1))}
		out.Counts = make([]float64, len(out.Bounds))
		for it := h.PositiveBucketIterator(); it.Next(); {
			if b := it.At(); int(b.Index) < len(out.Counts) {
				out.Counts[b.Index] += b.Count
			}
		}
		return out
	}
	out := &analysis.Histogram{Schema: int8(h.Schema), Zero: h.ZeroCount, Counts: []float64{}}
	for it := h.NegativeBucketIterator(); it.Next(); {
		out.Zero += it.At().Count
	}
	for it := h.PositiveBucketIterator(); it.Next(); {
		b := it.At()
		if len(out.Counts) == 0 {
			out.First = b.Index
		}
		for int(b.Index-out.First) >= len(out.Counts) {
			out.Counts = append(out.Counts, 0)
		}
		out.Counts[b.Index-out.First] += b.Count
	}
	return out
}

// inSeconds returns the histogram with bounds of its own, each divided by
// perSecond: exponential buckets of milliseconds are none of seconds.
func inSeconds(h *analysis.Histogram, perSecond float64) *analysis.Histogram {
	out := &analysis.Histogram{}
	upper := func(i int) float64 {
		if h.Bounds != nil {
			return h.Bounds[i]
		}
		return math.Exp2(float64(h.First+int32(i)) * math.Exp2(-float64(h.Schema)))
	}
	if h.Bounds == nil {
		// What is at or near zero lies below the first bucket.
		out.Bounds, out.Counts = append(out.Bounds, 0), append(out.Counts, h.Zero)
	}
	for i, c := range h.Counts {
		out.Bounds, out.Counts = append(out.Bounds, upper(i)/perSecond), append(out.Counts, c)
	}
	if n := len(out.Bounds); n == 0 || !math.IsInf(out.Bounds[n-1], 1) {
		out.Bounds, out.Counts = append(out.Bounds, math.Inf(1)), append(out.Counts, 0)
	}
	return out
}

// sortedBounds sorts bounds, drops those that are there twice, and adds +Inf.
func sortedBounds(bounds []float64) []float64 {
	bounds = append(bounds, math.Inf(1))
	slices.Sort(bounds)
	return slices.Compact(bounds)
}
