package replay

import (
	"math"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// Segment is a stretch of a recording in which the canary's share of the
// requests was steady.
type Segment struct {
	Start time.Time
	// Weight is the canary's share, 0..1.
	Weight float64
}

const (
	// mostPerInterval bounds what one interval says about the weight: thousands
	// of requests would turn a share that drifts a little into a step.
	mostPerInterval = 500
	// changeCost is the evidence, in nats, that a change of weight takes.
	changeCost = 20
	// leastRise is the least ratio of odds between two steps: from 25 % to 35 %.
	leastRise = 1.6
	// snap is how near a configured weight, relatively, is taken for it.
	snap = 0.12
)

// Segments finds the weights that a recording shows: the likeliest rising
// sequence of shares, where each rise must be worth its cost. The shares of a
// rollout are set by people and only rise; intervals after the canary's last
// request say nothing about them. A segment near one of the configured weights
// has just that weight. It returns nil when the canary has no requests.
func Segments(intervals []analysis.Interval, configured []float64) []Segment {
	canary, stable := make([]float64, len(intervals)), make([]float64, len(intervals))
	first, last := -1, -1
	for i := range intervals {
		for j := range intervals[i].Cells {
			c := &intervals[i].Cells[j]
			if c.Track == analysis.Canary {
				canary[i] += c.Requests
			} else {
				stable[i] += c.Requests
			}
		}
		if canary[i] > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return nil
	}
	grid := shares()
	path := likeliest(canary[first:last+1], stable[first:last+1], grid)
	var out []Segment
	for i := 0; i < len(path); {
		j, nc, ns := i, 0.0, 0.0
		for ; j < len(path) && path[j] == path[i]; j++ {
			nc, ns = nc+canary[first+j], ns+stable[first+j]
		}
		// Pods are scraped at different times: the weight changed within the
		// interval before the first one that shows it in full.
		out = append(out, Segment{Start: intervals[max(first+i-1, 0)].Start, Weight: nearest(nc/(nc+ns), configured)})
		i = j
	}
	// What lies before the canary's first request is of the first step.
	out[0].Start = intervals[0].Start
	return out
}

// shares are the weights that are considered.
func shares() []float64 {
	s := []float64{0.001, 0.002, 0.005}
	for w := 1; w <= 99; w++ {
		s = append(s, float64(w)/100)
	}
	return append(s, 0.999)
}

// likeliest returns, per interval, the index of its share: by dynamic
// programming over all rising sequences.
func likeliest(canary, stable, grid []float64) []int {
	const impossible = -math.MaxFloat64
	best := make([]float64, len(grid))
	from := make([][]int, len(canary))
	for t := range canary {
		next := make([]float64, len(grid))
		from[t] = make([]int, len(grid))
		scale := 1.0
		if n := canary[t] + stable[t]; n > mostPerInterval {
			scale = mostPerInterval / n
		}
		for w, share := range grid {
			next[w], from[t][w] = impossible, w
			if t == 0 {
				next[w] = 0
			} else {
				next[w] = best[w]
				for v := range w {
					if odds(share) < leastRise*odds(grid[v]) {
						break
					}
					if b := best[v] - changeCost; b > next[w] {
						next[w], from[t][w] = b, v
					}
				}
			}
			next[w] += scale * (canary[t]*math.Log(share) + stable[t]*math.Log(1-share))
		}
		best = next
	}
	w := 0
	for v := range grid {
		if best[v] > best[w] {
			w = v
		}
	}
	path := make([]int, len(canary))
	for t := len(canary) - 1; t >= 0; t-- {
		path[t] = w
		w = from[t][w]
	}
	return path
}

func odds(share float64) float64 { return share / (1 - share) }

// nearest returns the configured weight that the share is about, or the share.
func nearest(share float64, configured []float64) float64 {
	best := share
	for _, w := range configured {
		if d := math.Abs(w - share); d <= snap*min(w, 1-w)+1e-9 && (best == share || d < math.Abs(best-share)) {
			best = w
		}
	}
	return best
}
