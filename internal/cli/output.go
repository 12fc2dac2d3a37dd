package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag is -o with the formats that a command knows.
type outputFlag struct {
	value   string
	formats []string
}

func (f *outputFlag) bind(cmd *cobra.Command, formats ...string) {
	f.formats = formats
	cmd.Flags().StringVarP(&f.value, "output", "o", formats[0], "output format: "+strings.Join(formats, ", "))
}

func (f *outputFlag) check() error {
	if !slices.Contains(f.formats, f.value) {
		return fmt.Errorf("--output %q: want one of %s", f.value, strings.Join(f.formats, ", "))
	}
	return nil
}

// encode writes v as json or yaml; done is false for the other formats, which
// the command draws itself.
func (f *outputFlag) encode(w io.Writer, v any) (done bool, err error) {
	switch f.value {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return true, e.Encode(v)
	case "yaml":
		b, err := yaml.Marshal(v)
		if err != nil {
			return true, err
		}
		_, err = w.Write(b)
		return true, err
	default:
		return false, nil
	}
}

// table writes rows in columns that line up. The first row is the heading.
func table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// ago says how long before now a time was, in one unit or two, as kubectl does.
func ago(now time.Time, t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return short(now.Sub(*t)) + " ago"
}

// short renders a duration to the precision that a person reads at a glance.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
