package traceql

import (
	"cmp"
	"strconv"
	"time"
)

// Type is the type of a Value.
type Type uint8

// The types of values.
const (
	TypeNil Type = iota
	TypeInt
	TypeFloat
	TypeString
	TypeBool
	TypeDuration
	TypeStatus
	TypeKind
)

// Value is a literal, or what a field has in a span.
type Value struct {
	Type  Type
	Int   int64 // also the ns of a duration, the number of a status or kind
	Float float64
	Str   string
	Bool  bool
}

// StringValue makes a value of a text.
func StringValue(s string) Value { return Value{Type: TypeString, Str: s} }

// IntValue makes a value of a whole number.
func IntValue(n int64) Value { return Value{Type: TypeInt, Int: n} }

// DurationValue makes a value of a duration.
func DurationValue(d time.Duration) Value { return Value{Type: TypeDuration, Int: int64(d)} }

func statusValue(code int32) Value { return Value{Type: TypeStatus, Int: int64(code)} }

func kindValue(kind int32) Value { return Value{Type: TypeKind, Int: int64(kind)} }

func nameOf(names []string, n int64) string {
	if n < 0 || n >= int64(len(names)) {
		return strconv.FormatInt(n, 10)
	}
	return names[n]
}

// The keywords of statuses and kinds, by their OTLP numbers.
var (
	statusNames = []string{"unset", "ok", "error"}
	kindNames   = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
)

// Text is the value as Tempo's tag values and select() show it.
func (v Value) Text() string {
	switch v.Type {
	case TypeInt:
		return strconv.FormatInt(v.Int, 10)
	case TypeFloat:
		return strconv.FormatFloat(v.Float, 'g', -1, 64)
	case TypeString:
		return v.Str
	case TypeBool:
		return strconv.FormatBool(v.Bool)
	case TypeDuration:
		return time.Duration(v.Int).String()
	case TypeStatus:
		return nameOf(statusNames, v.Int)
	case TypeKind:
		return nameOf(kindNames, v.Int)
	}
	return "nil"
}

func (v Value) numeric() (float64, bool) {
	switch v.Type {
	case TypeInt, TypeDuration:
		return float64(v.Int), true
	case TypeFloat:
		return v.Float, true
	}
	return 0, false
}

// compare orders two values; false when their types don't compare.
func compare(a, b Value) (int, bool) {
	if a.Type == b.Type && a.Type != TypeFloat {
		switch a.Type {
		case TypeString:
			return cmp.Compare(a.Str, b.Str), true
		case TypeBool:
			x, y := 0, 0
			if a.Bool {
				x = 1
			}
			if b.Bool {
				y = 1
			}
			return cmp.Compare(x, y), true
		case TypeNil:
			return 0, true
		}
		return cmp.Compare(a.Int, b.Int), true
	}
	x, ok := a.numeric()
	y, ok2 := b.numeric()
	return cmp.Compare(x, y), ok && ok2
}
