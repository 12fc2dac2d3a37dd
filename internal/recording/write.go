package recording

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"fairlead.dev/fairlead/internal/prom"
)

// Write writes series as OpenMetrics text with timestamps, one family after
// the other, as Open and `promtool tsdb create-blocks-from openmetrics` read
// it. Histogram samples cannot be written so: they are refused.
func Write(w io.Writer, series []prom.Series) error {
	b := bufio.NewWriterSize(w, 1<<20)
	families := map[string][]int{}
	types := map[string]string{}
	for i, s := range series {
		name, kind := family(s.Labels)
		families[name] = append(families[name], i)
		types[name] = kind
	}
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	var number []byte
	for _, name := range names {
		fmt.Fprintf(b, "# TYPE %s %s\n", name, types[name])
		for _, i := range families[name] {
			head := seriesText(series[i].Labels)
			for _, p := range series[i].Points {
				if p.H != nil {
					return fmt.Errorf("write recording: %s is a native histogram, which OpenMetrics text cannot hold: copy the server's TSDB directory instead", series[i].Labels)
				}
				b.WriteString(head)
				number = strconv.AppendFloat(number[:0], p.V, 'g', -1, 64)
				number = append(number, ' ')
				number = appendSeconds(number, p.T)
				b.Write(number)
				b.WriteByte('\n')
			}
		}
	}
	b.WriteString("# EOF\n")
	return b.Flush()
}

func appendSeconds(b []byte, millis int64) []byte {
	b = strconv.AppendInt(b, millis/1000, 10)
	if rest := millis % 1000; rest != 0 {
		b = append(b, fmt.Sprintf(".%03d", rest)...)
	}
	return b
}

// family is the name and type that a series' TYPE line has.
func family(l labels.Labels) (name, kind string) {
	name = l.Get(labels.MetricName)
	if l.Get(labels.BucketLabel) != "" {
		return strings.TrimSuffix(name, "_bucket"), "histogram"
	}
	for _, suffix := range []string{"_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			return base, "histogram"
		}
	}
	if base, ok := strings.CutSuffix(name, "_total"); ok {
		return base, "counter"
	}
	return name, "unknown"
}

// seriesText is the series as it is written, with a space at its end.
func seriesText(l labels.Labels) string {
	var b strings.Builder
	b.WriteString(l.Get(labels.MetricName))
	b.WriteByte('{')
	first := true
	l.Range(func(one labels.Label) {
		if one.Name == labels.MetricName {
			return
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(one.Name)
		b.WriteString(`="`)
		b.WriteString(escaper.Replace(one.Value))
		b.WriteByte('"')
	})
	b.WriteString("} ")
	return b.String()
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
