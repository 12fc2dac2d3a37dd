package sequential

import (
	"cmp"
	"slices"
)

// EBH names the discoveries among e-values at false discovery rate q, under any
// dependence: the k largest, k the greatest i with i*e_(i)/K >= 1/q. The result
// are indexes, largest e-value first. The e-values must be those of one stopping
// time, not their maxima over time. Source: Wang & Ramdas 2022.
func EBH(e []float64, q float64) []int {
	order := make([]int, len(e))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(e[b], e[a]) })
	k := 0
	for i, at := range order {
		if float64(i+1)*e[at]/float64(len(e)) >= 1/q {
			k = i + 1
		}
	}
	return order[:k]
}

// BH names the discoveries among p-values at false discovery rate q, where they
// are independent or positively dependent: the k smallest, k the greatest i with
// p_(i) <= q*i/K. The result are indexes, smallest p-value first. Source:
// Benjamini & Hochberg 1995.
func BH(p []float64, q float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	k := 0
	for i, at := range order {
		if p[at] <= q*float64(i+1)/float64(len(p)) {
			k = i + 1
		}
	}
	return order[:k]
}
