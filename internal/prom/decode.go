package prom

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
)

// warningsError says that the server warned about its answer.
type warningsError struct{ warnings []string }

func (e *warningsError) Error() string {
	return fmt.Sprintf("%v: it warns: %s (to accept such answers set source.prometheus.acceptWarnings)", ErrPartial, strings.Join(e.warnings, "; "))
}

func (e *warningsError) Is(target error) bool { return target == ErrPartial }

// decodeMatrix reads the answer to a range selector as it arrives: it may be
// hundreds of megabytes. With warnings it returns the result and a
// *warningsError.
func decodeMatrix(r io.Reader) (Result, error) {
	var result Result
	resultType := ""
	err := decodeEnvelope(r, &result.Notes, func(it *jsoniter.Iterator) {
		it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
			switch field {
			case "resultType":
				resultType = it.ReadString()
			case "result":
				d := seriesDecoder{it: it, names: labels.NewScratchBuilder(16)}
				it.ReadArrayCB(func(*jsoniter.Iterator) bool {
					result.Series = append(result.Series, d.series())
					return it.Error == nil
				})
			default:
				it.Skip()
			}
			return true
		})
	})
	if err == nil && resultType != "matrix" {
		err = fmt.Errorf("%w: resultType %q, want matrix", ErrMalformed, resultType)
	}
	return result, err
}

// decodeCount reads an answer whose data is a list and returns its length.
func decodeCount(r io.Reader) (int, error) {
	n := 0
	err := decodeEnvelope(r, nil, func(it *jsoniter.Iterator) {
		it.ReadArrayCB(func(it *jsoniter.Iterator) bool {
			n++
			it.Skip()
			return true
		})
	})
	return n, err
}

// decodeEnvelope reads {"status":...,"data":...,"warnings":[...]}.
func decodeEnvelope(r io.Reader, notes *[]string, data func(*jsoniter.Iterator)) error {
	it := jsoniter.Parse(jsoniter.ConfigDefault, r, 64<<10)
	var status, message string
	var warnings []string
	partial := false
	seen := false
	it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
		switch field {
		case "status":
			status = it.ReadString()
		case "error":
			message = it.ReadString()
		case "data":
			seen = true
			data(it)
		case "warnings":
			it.ReadVal(&warnings)
		case "isPartial": // VictoriaMetrics' name for it
			partial = it.ReadBool()
		case "infos":
			var infos []string
			it.ReadVal(&infos)
			if notes != nil {
				*notes = append(*notes, infos...)
			}
		default:
			it.Skip()
		}
		return it.Error == nil
	})
	switch {
	case it.Error != nil && it.Error != io.EOF: //nolint:errorlint // jsoniter returns it unwrapped
		return fmt.Errorf("%w: %w", ErrMalformed, it.Error)
	case status == "error":
		return fmt.Errorf("%w: %s", ErrRefused, message)
	case status != "success" || !seen:
		return fmt.Errorf("%w: status %q", ErrMalformed, status)
	case len(warnings) > 0:
		if notes != nil {
			*notes = append(*notes, warnings...)
		}
		return &warningsError{warnings}
	case partial:
		return &warningsError{[]string{"isPartial: not all storage nodes answered"}}
	}
	return nil
}

// seriesDecoder reads elements of a matrix.
type seriesDecoder struct {
	it    *jsoniter.Iterator
	names labels.ScratchBuilder
}

func (d *seriesDecoder) series() Series {
	var s Series
	d.it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
		switch field {
		case "metric":
			d.names.Reset()
			it.ReadObjectCB(func(it *jsoniter.Iterator, name string) bool {
				d.names.Add(name, it.ReadString())
				return true
			})
			d.names.Sort()
			s.Labels = d.names.Labels()
		case "values":
			it.ReadArrayCB(func(*jsoniter.Iterator) bool {
				s.Points = append(s.Points, d.point())
				return it.Error == nil
			})
		case "histograms":
			var raw []rawHistogram
			var times []int64
			it.ReadArrayCB(func(*jsoniter.Iterator) bool {
				t, h := d.histogram()
				times, raw = append(times, t), append(raw, h)
				return it.Error == nil
			})
			s.Points = append(s.Points, points(times, raw)...)
		default:
			it.Skip()
		}
		return it.Error == nil
	})
	return s
}

// point reads [1435781430.781, "1"].
func (d *seriesDecoder) point() Point {
	var p Point
	if !d.it.ReadArray() {
		d.it.ReportError("read sample", "want [time, value]")
		return p
	}
	p.T = d.millis()
	if !d.it.ReadArray() {
		d.it.ReportError("read sample", "the value is missing")
		return p
	}
	p.V = d.number()
	if d.it.ReadArray() {
		d.it.ReportError("read sample", "more than time and value")
	}
	return p
}

// histogram reads [1435781430.781, {"count":"6","sum":"...","buckets":[[0,"1","2","3"]]}].
func (d *seriesDecoder) histogram() (int64, rawHistogram) {
	var h rawHistogram
	if !d.it.ReadArray() {
		d.it.ReportError("read histogram", "want [time, histogram]")
		return 0, h
	}
	t := d.millis()
	if !d.it.ReadArray() {
		d.it.ReportError("read histogram", "the histogram is missing")
		return 0, h
	}
	d.it.ReadObjectCB(func(it *jsoniter.Iterator, field string) bool {
		switch field {
		case "count":
			h.count = d.number()
		case "buckets":
			it.ReadArrayCB(func(it *jsoniter.Iterator) bool {
				var b rawBucket
				i := 0
				it.ReadArrayCB(func(*jsoniter.Iterator) bool {
					switch i {
					case 0:
						b.rule = it.ReadInt()
					case 1:
						b.lower = d.number()
					case 2:
						b.upper = d.number()
					default:
						b.count = d.number()
					}
					i++
					return it.Error == nil
				})
				h.buckets = append(h.buckets, b)
				return it.Error == nil
			})
		default:
			it.Skip()
		}
		return it.Error == nil
	})
	d.it.ReadArray()
	return t, h
}

func (d *seriesDecoder) millis() int64 { return int64(math.Round(d.it.ReadFloat64() * 1000)) }

// number reads a value as Prometheus writes it: a string, so that it can be NaN.
func (d *seriesDecoder) number() float64 {
	s := d.it.ReadStringAsSlice()
	if v, ok := digits(s); ok {
		return v
	}
	v, err := strconv.ParseFloat(string(s), 64)
	if err != nil {
		d.it.ReportError("read value", fmt.Sprintf("%q is no number", s))
	}
	return v
}

// digits is ParseFloat for what most counters are: up to 15 plain digits,
// which a float64 holds exactly.
func digits(s []byte) (float64, bool) {
	if len(s) == 0 || len(s) > 15 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return float64(n), true
}

// errorMessage reads the "error" of a refusal, or the beginning of its text.
func errorMessage(r io.Reader) string {
	body, _ := io.ReadAll(io.LimitReader(r, 4096))
	var answer struct {
		Error string `json:"error"`
	}
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		text = answer.Error
	} else if strings.HasPrefix(text, "<") { // a proxy's page
		text = ""
	}
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	if text == "" {
		return ""
	}
	return ": " + strings.Map(printable, text)
}

// printable keeps control characters of a foreign server off the terminal.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
