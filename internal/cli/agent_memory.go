package cli

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// agentGCPercent trades CPU for memory: an agent holds much (a record of every
// revision of every release) and makes little garbage.
const agentGCPercent = 30

const (
	// trimEvery is how often memory is given back: with 50,000 records held that
	// is a collection of 0.1 s of CPU time.
	trimEvery = 10 * time.Second
	// trimRoom is how far memory may grow until the next time before the collector
	// works harder, and a sixteenth of what is held at least.
	trimRoom = 8 << 20
)

// keepSmall gives memory that is free back to the system, until ctx ends. The
// runtime does so over minutes, and the lists of a start and bursts of events
// leave as much behind as is held. What is held sets the limit, so that the
// collector always has room. The program's own pages go too, of which the start
// needs twice as many as the work after it.
func keepSmall(ctx context.Context) {
	program := programPages()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		debug.FreeOSMemory()
		held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(held)
		n := int64(held[0].Value.Uint64() - held[1].Value.Uint64())
		debug.SetMemoryLimit(n + max(trimRoom, n/16))
		program.giveBack()
	}
}
