package analysis

// Detectable is the smallest error rate of the canary that the test of all
// routes together finds, in the mean, within so many requests of the canary: to
// be told before a rollout begins. 1 when not even a total failure is found.
func (j *Judge) Detectable(requests float64) float64 {
	return j.planOf(0).Detectable(requests, j.pool())
}
