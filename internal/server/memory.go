package server

import (
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/mem"

	"fairlead.dev/fairlead/internal/config"
)

// memoryLimitMiB is the heap limit in MiB: the one configured, or three
// quarters of what the machine or its cgroup has. The rest is for the page
// cache, which the stores live off.
func memoryLimitMiB(configured config.Bytes) uint32 {
	limit := int64(configured)
	if limit == 0 {
		limit = totalMemory() / 4 * 3
	}
	return uint32(min(limit>>20, math.MaxUint32))
}

// totalMemory is the smaller of the machine's memory and the cgroup's (v2)
// limit; 0, which switches the limiter off, where neither can be read.
func totalMemory() int64 {
	total := int64(0)
	if machine, err := mem.VirtualMemory(); err == nil {
		total = int64(machine.Total)
	}
	data, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && (total == 0 || n < total) {
		total = n
	}
	return total
}
