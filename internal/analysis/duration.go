package analysis

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as "5m" or "1h30m".
type Duration time.Duration

// String writes the duration without trailing zero units: "10m", not "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Minutes returns the duration in minutes.
func (d Duration) Minutes() float64 { return time.Duration(d).Minutes() }

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration: write it as 30s, 5m or 1h30m", b)
	}
	*d = Duration(v)
	return nil
}
