package config

import "time"

// Store says where telemetry is kept, for how long, and within which bounds.
type Store struct {
	// Dir is the data directory; one server at a time uses it.
	Dir string `yaml:"dir"`

	// MinFree is the free space on the disk of Dir below which writes are
	// refused while reads go on.
	MinFree Bytes `yaml:"minFree"`

	// MemoryLimit is the process's heap above which writes are refused for a
	// moment; 0 means three quarters of the machine's (or cgroup's) memory.
	MemoryLimit Bytes `yaml:"memoryLimit"`

	// SyncInterval is how often what was written is forced to the disk. Only a
	// crash of the machine, not of the process, loses what came after. 0 syncs
	// before every acknowledgement.
	SyncInterval Duration `yaml:"syncInterval"`

	Metrics   Metrics   `yaml:"metrics"`   // the metrics store
	Telemetry Telemetry `yaml:"telemetry"` // the store of traces, logs and events
}

// Metrics bounds the metrics store.
type Metrics struct {
	Retention Duration `yaml:"retention"` // how long samples are kept
	MaxBytes  Bytes    `yaml:"maxBytes"`  // 0 = no bound by size

	// OutOfOrder is how late, against the newest sample of a series, a sample
	// may come.
	OutOfOrder Duration `yaml:"outOfOrder"`

	// Promote are resource attributes that become labels of every series,
	// beside those that the canary analysis needs.
	Promote []string `yaml:"promote"`

	// QueryTimeout and QueryMaxSamples bound one query.
	QueryTimeout    Duration `yaml:"queryTimeout"`
	QueryMaxSamples int      `yaml:"queryMaxSamples"`
}

// Telemetry bounds the store of traces, logs and Kubernetes events. A day's
// file is deleted as a whole, so data lives up to a day longer.
type Telemetry struct {
	Retention Duration `yaml:"retention"` // how long traces, logs and events are kept
	MaxBytes  Bytes    `yaml:"maxBytes"`  // above which the oldest day is deleted; 0 = no bound by size

	// OwnTraces keeps traces of the server itself, as service fairlead-server.
	OwnTraces bool `yaml:"ownTraces"`
}

func defaultStore() Store {
	return Store{
		Dir: "fairlead-data",
		// Room for the compaction of two hours of metrics at 100k series and
		// for one more day's trace database while the operator reacts.
		MinFree:      256 << 20,
		SyncInterval: Duration(time.Second),
		Metrics: Metrics{
			// The P99 baseline of deployments reaches 30 days back.
			Retention: Duration(31 * 24 * time.Hour),
			// Agents that lost their server for a while catch up within it.
			OutOfOrder: Duration(2 * time.Hour),
			// Prometheus' own bounds.
			QueryTimeout:    Duration(2 * time.Minute),
			QueryMaxSamples: 50_000_000,
		},
		// 10 GiB is about a hundred million spans.
		Telemetry: Telemetry{Retention: Duration(7 * 24 * time.Hour), MaxBytes: 10 << 30, OwnTraces: true},
	}
}

func (s *Store) validate(p *problems) {
	if s.Dir == "" {
		p.add("dir", nil, "is missing; name the directory for the data")
	}
	if s.MinFree < 1<<20 {
		p.add("minFree", s.MinFree, "want at least 1MiB: a full disk cannot even record that it is full")
	}
	if s.MemoryLimit != 0 && s.MemoryLimit < 64<<20 {
		p.add("memoryLimit", s.MemoryLimit, "want at least 64MiB, or 0 for three quarters of the memory")
	}
	if s.SyncInterval < 0 || s.SyncInterval > Duration(10*time.Minute) {
		p.add("syncInterval", s.SyncInterval, "want 0 to 10m")
	}
	checkRetention(p.at("metrics"), s.Metrics.Retention, s.Metrics.MaxBytes)
	checkRetention(p.at("telemetry"), s.Telemetry.Retention, s.Telemetry.MaxBytes)
	if s.Telemetry.MaxBytes == 0 {
		p.add("telemetry.maxBytes", s.Telemetry.MaxBytes, "want a bound, such as 10GiB")
	}
	m := p.at("metrics")
	if s.Metrics.OutOfOrder < 0 || s.Metrics.OutOfOrder > Duration(7*24*time.Hour) {
		m.add("outOfOrder", s.Metrics.OutOfOrder, "want 0 to 7d")
	}
	if s.Metrics.QueryTimeout <= 0 {
		m.add("queryTimeout", s.Metrics.QueryTimeout, "want more than 0")
	}
	if s.Metrics.QueryMaxSamples < 1000 {
		m.add("queryMaxSamples", s.Metrics.QueryMaxSamples, "want at least 1000")
	}
	for i, name := range s.Metrics.Promote {
		if name == "" {
			m.add("promote", i, "entry of that index is empty")
		}
	}
}

func checkRetention(p *problems, keep Duration, size Bytes) {
	if keep < Duration(2*time.Hour) {
		p.add("retention", keep, "want at least 2h")
	}
	if size != 0 && size < 32<<20 {
		p.add("maxBytes", size, "want at least 32MiB, or 0 for no bound by size")
	}
}
