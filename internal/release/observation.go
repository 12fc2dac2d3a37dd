package release

import "time"

// Observation is one thing that an observer saw: exactly one of the pointers is
// set. Observations are values: who passes one on never changes it afterwards.
type Observation struct {
	// At is when it was received, on the observer's own clock.
	At time.Time
	// Initial marks what was there before watching began: its age is known only
	// from the API's own times.
	Initial bool
	// Deleted marks the last state of an object that is gone.
	Deleted bool
	// Release is the release it belongs to; zero when it belongs to none.
	Release Ref

	Workload *Workload
	Pod      *Pod
	Claim    *Claim
	Event    *Event
	Record   *Record
}

// Meta returns the metadata of the observed object; nil for events and records.
func (o Observation) Meta() *Meta {
	switch {
	case o.Workload != nil:
		return &o.Workload.Meta
	case o.Pod != nil:
		return &o.Pod.Meta
	case o.Claim != nil:
		return &o.Claim.Meta
	}
	return nil
}
