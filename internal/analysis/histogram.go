package analysis

import (
	"encoding/json"
	"math"
	"slices"
)

// IsNative says whether the histogram has exponential buckets.
func (h *Histogram) IsNative() bool { return h.Bounds == nil }

// Empty says that there is no histogram at all, which differs from one without
// observations.
func (h *Histogram) Empty() bool { return h.Counts == nil && h.Zero == 0 }

// Total is the number of observations.
func (h *Histogram) Total() float64 {
	n := h.Zero
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// upper is the upper bound of Counts[i].
func (h *Histogram) upper(i int) float64 {
	if h.Bounds != nil {
		return h.Bounds[i]
	}
	return math.Exp2(float64(h.First+int32(i)) * math.Exp2(-float64(h.Schema)))
}

// lower is the lower bound of Counts[i].
func (h *Histogram) lower(i int) float64 {
	if h.Bounds != nil {
		if i == 0 {
			return 0
		}
		return h.Bounds[i-1]
	}
	return math.Exp2(float64(h.First+int32(i)-1) * math.Exp2(-float64(h.Schema)))
}

// boundIndex returns the bucket index that ends at bound (native: on the whole
// scale, classic: into Bounds), and whether there is such a bucket. Bounds are
// compared to within a millionth: "0.1" and "1e-01" are the same bound.
func (h *Histogram) boundIndex(bound float64) (int, bool) {
	if h.Bounds != nil {
		i, _ := slices.BinarySearch(h.Bounds, bound*(1-1e-6))
		if i < len(h.Bounds) && h.Bounds[i] <= bound*(1+1e-6) {
			return i, true
		}
		return 0, false
	}
	x := math.Log2(bound) * math.Exp2(float64(h.Schema))
	i := math.Round(x)
	return int(i), math.Abs(x-i) < 1e-5
}

// Above is the number of observations above bound (seconds), and false when the
// histogram has no bucket that ends there.
func (h *Histogram) Above(bound float64) (float64, bool) {
	i, ok := h.boundIndex(bound)
	if !ok {
		return 0, false
	}
	if h.Bounds == nil {
		i -= int(h.First)
	}
	n := 0.0
	for j := max(i+1, 0); j < len(h.Counts); j++ {
		n += h.Counts[j]
	}
	return n, true
}

// Add adds o into h: the same classic bounds, or native ones, where the finer
// schema is merged down to the coarser. It returns false, and changes nothing,
// when the layouts have nothing in common. An empty h takes o's layout.
func (h *Histogram) Add(o *Histogram) bool {
	if o.Empty() {
		return true
	}
	if h.Empty() {
		*h = Histogram{Bounds: o.Bounds, Schema: o.Schema, Zero: o.Zero, First: o.First, Counts: slices.Clone(o.Counts)}
		if h.Counts == nil {
			h.Counts = []float64{}
		}
		return true
	}
	if h.IsNative() != o.IsNative() {
		return false
	}
	if !h.IsNative() {
		if len(h.Bounds) != len(o.Bounds) || &h.Bounds[0] != &o.Bounds[0] && !slices.Equal(h.Bounds, o.Bounds) {
			return false
		}
		for i, c := range o.Counts {
			h.Counts[i] += c
		}
		return true
	}
	if o.Schema < h.Schema {
		h.reduce(o.Schema)
	} else if o.Schema > h.Schema {
		r := o.clone()
		r.reduce(h.Schema)
		o = &r
	}
	h.Zero += o.Zero
	if len(o.Counts) == 0 {
		return true
	}
	h.cover(o.First, o.First+int32(len(o.Counts)))
	for i, c := range o.Counts {
		h.Counts[int(o.First-h.First)+i] += c
	}
	return true
}

func (h *Histogram) clone() Histogram {
	c := *h
	c.Counts = slices.Clone(h.Counts)
	return c
}

// cover grows a native histogram to hold indexes first..end-1.
func (h *Histogram) cover(first, end int32) {
	if len(h.Counts) == 0 {
		h.First, h.Counts = first, make([]float64, end-first)
		return
	}
	if first < h.First {
		h.Counts = append(make([]float64, h.First-first), h.Counts...)
		h.First = first
	}
	if have := h.First + int32(len(h.Counts)); end > have {
		h.Counts = append(h.Counts, make([]float64, end-have)...)
	}
}

// reduce merges a native histogram down to a coarser schema: bucket i of a
// schema is within bucket ceil(i/2) of the next lower one.
func (h *Histogram) reduce(schema int8) {
	for h.Schema > schema {
		first := ceilHalf(h.First)
		var counts []float64
		if n := len(h.Counts); n > 0 {
			counts = make([]float64, ceilHalf(h.First+int32(n)-1)-first+1)
			for i, c := range h.Counts {
				counts[ceilHalf(h.First+int32(i))-first] += c
			}
		}
		h.First, h.Counts = first, counts
		h.Schema--
	}
}

func ceilHalf(i int32) int32 { return (i + 1) >> 1 }

// Quantile estimates the q-quantile in seconds as Prometheus' histogram_quantile
// does: linear within a classic bucket, exponential within a native one, and
// the highest finite bound when it lies beyond. NaN without observations.
func (h *Histogram) Quantile(q float64) float64 {
	total := h.Total()
	if total <= 0 {
		return math.NaN()
	}
	rank, below := q*total, h.Zero
	if below >= rank && below > 0 {
		return 0
	}
	last := len(h.Counts) - 1
	for i, c := range h.Counts {
		if c <= 0 || below+c < rank && i < last {
			below += c
			continue
		}
		up, lo := h.upper(i), h.lower(i)
		switch {
		case math.IsInf(up, 1):
			return lo
		case h.IsNative():
			return lo * math.Pow(up/lo, min((rank-below)/c, 1))
		default:
			return lo + (up-lo)*min((rank-below)/c, 1)
		}
	}
	return h.upper(last)
}

// histogramJSON is a Histogram without the infinite bound, which JSON cannot say.
type histogramJSON struct {
	Bounds []float64 `json:"bounds,omitempty"`
	Inf    bool      `json:"inf,omitempty"`
	Schema int8      `json:"schema,omitempty"`
	Zero   float64   `json:"zero,omitempty"`
	First  int32     `json:"first,omitempty"`
	Counts []float64 `json:"counts,omitempty"`
}

// MarshalJSON writes the histogram.
func (h Histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{h.Bounds, false, h.Schema, h.Zero, h.First, h.Counts}
	if n := len(h.Bounds); n > 0 && math.IsInf(h.Bounds[n-1], 1) {
		out.Bounds, out.Inf = h.Bounds[:n-1], true
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.Inf {
		in.Bounds = append(in.Bounds, math.Inf(1))
	}
	*h = Histogram{in.Bounds, in.Schema, in.Zero, in.First, in.Counts}
	return nil
}
