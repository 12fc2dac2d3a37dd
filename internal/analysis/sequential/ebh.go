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
