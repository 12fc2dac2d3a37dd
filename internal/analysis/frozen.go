package analysis

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// History is the stable track's past.
type History struct {
	// Intervals are ranged over twice, oldest first. Cells of the canary are
	// ignored. nil is no history.
	Intervals iter.Seq[*Interval]
	// ErrorsEverSeen is Samples.ErrorsEverSeen.
	ErrorsEverSeen bool
	// CanaryPods are group sizes to measure the guard for, beside the usual.
	CanaryPods []int
}

// Frozen is everything that is chosen from the stable track's history before
// the canary's first sample is looked at, and never changed during a rollout:
// choosing after seeing is cheating. It is stored beside the rollout's status,
// and survives JSON.
type Frozen struct {
	SchemaVersion int       `json:"schemaVersion"`
	From          time.Time `json:"from"`
	To            time.Time `json:"to"`
	// Routes are told apart; all others are "other".
	Routes []FrozenRoute `json:"routes"`
	// Pool is stable's error rate over the history, all routes together.
	Pool float64 `json:"pool"`
	// RequestRate is the service's requests per second.
	RequestRate float64 `json:"requestRate"`
	// Pods is the number of stable pods that were told apart.
	Pods int `json:"pods"`
	// ErrorsEverSeen: see Samples.
	ErrorsEverSeen bool `json:"errorsEverSeen"`
	// Guard says how noisy groups of stable pods are, per event kind
	// (error_rate, p99_latency, ...), by size of the group.
	Guard map[string][]GuardPair `json:"guard,omitempty"`
	// Fallback says why Guard is missing or not to be trusted, "" if it is.
	Fallback string `json:"fallback,omitempty"`
}

// FrozenRoute is a route's share of the history.
type FrozenRoute struct {
	Route    string  `json:"route"`
	Requests float64 `json:"requests"`
	Errors   float64 `json:"errors"`
	// Bounds are, per metric, the latencies above which requests are counted:
	// candidates, best first; the first that both tracks' histograms have is used.
	Bounds map[string][]LatencyBound `json:"bounds,omitempty"`
}

// LatencyBound is a histogram bound at which two tails are compared.
type LatencyBound struct {
	Seconds float64 `json:"s"`
	// Tail is stable's share of requests above it.
	Tail float64 `json:"tail"`
	// Ratio is the ratio of tails that the latency margin amounts to.
	Ratio float64 `json:"ratio"`
}

// GuardPair is how much evidence a group of Size pods may give.
type GuardPair struct {
	Size int `json:"size"`
	// Cap is the most evidence of one scrape, in nats.
	Cap float64 `json:"cap"`
	// Phi divides evidence: the dispersion of events beyond chance.
	Phi float64 `json:"phi"`
	// Gate is the dispersion over a gate's length.
	Gate float64 `json:"gate"`
	// Short is the dispersion over the two minutes of an interim look.
	Short float64 `json:"short"`
	// Spread is the standard deviation of a group's lasting log-rate.
	Spread float64 `json:"spread"`
}

// Hash digests the frozen parameters.
func (f Frozen) Hash() string {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Sprintf("unhashable: %v", err)
	}
	return digest(b)
}
