package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// valueError is a scalar that its type could not read; decode adds the path.
type valueError struct{ problem string }

func (e *valueError) Error() string { return e.problem }

// Duration is a length of time as Prometheus writes it: 90s, 5m, 1h30m, 15d,
// 2w. A bare 0 is 0.
type Duration time.Duration

// UnmarshalYAML reads the text form.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := ParseDuration(node.Value)
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// ParseDuration reads the text form of a [Duration].
func ParseDuration(s string) (Duration, error) {
	if s == "0" {
		return 0, nil
	}
	v, err := model.ParseDuration(s)
	if err != nil {
		return 0, &valueError{"want a duration such as 30s, 5m, 1h30m or 15d"}
	}
	return Duration(v), nil
}

// Std returns d for the standard library.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the text form.
func (d Duration) String() string { return model.Duration(d).String() }

// Bytes is a size: a whole number of bytes, or a number with a unit: kB, MB,
// GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024).
type Bytes int64

var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalYAML reads the text form.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) error {
	v, err := ParseBytes(node.Value)
	if err != nil {
		return err
	}
	*b = v
	return nil
}

// ParseBytes reads the text form of a [Bytes].
func ParseBytes(s string) (Bytes, error) {
	bad := &valueError{"want a size such as 512MiB, 10GB or a number of bytes"}
	number, factor := strings.TrimSpace(s), 1.0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || v*factor > math.MaxInt64/2 || math.IsNaN(v) {
		return 0, bad
	}
	return Bytes(v * factor), nil
}

// String returns the size with the largest binary unit that divides it.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if f := int64(byteUnits[i].factor); b != 0 && int64(b)%f == 0 {
			return fmt.Sprintf("%d%s", int64(b)/f, byteUnits[i].suffix)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
