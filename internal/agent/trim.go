package agent

import (
	"runtime/debug"
	"runtime/metrics"
)

// trimAbove is how much free memory is worth a collection: with 50,000 records
// held that is 0.1 s of CPU time.
const trimAbove = 16 << 20

// trim gives free memory back to the system. The runtime would do so too, over
// minutes; the lists of a start and bursts of events leave much of it behind.
func trim() {
	free := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(free)
	if v := free[0].Value; v.Kind() == metrics.KindUint64 && v.Uint64() > trimAbove {
		debug.FreeOSMemory()
	}
}
