package otlpwire

import (
	"encoding/hex"
	"math"
	"strconv"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind is the type of an attribute value.
type Kind uint8

// The kinds of attribute values. KindOther is an array, a map or bytes.
const (
	KindEmpty Kind = iota
	KindString
	KindBool
	KindInt
	KindFloat
	KindOther
)

// Value is a decoded attribute value. For KindOther only Raw is set.
type Value struct {
	Kind  Kind
	Str   string
	Int   int64
	Float float64
	Bool  bool
	Raw   []byte // the AnyValue message
}

// Text renders the value as label and tag values show it; "" for KindEmpty
// and KindOther.
func (v Value) Text() string {
	switch v.Kind {
	case KindString:
		return v.Str
	case KindBool:
		return strconv.FormatBool(v.Bool)
	case KindInt:
		return strconv.FormatInt(v.Int, 10)
	case KindFloat:
		return strconv.FormatFloat(v.Float, 'g', -1, 64)
	}
	return ""
}

// decodeAny reads an AnyValue message. Strings alias msg.
func decodeAny(msg []byte) (v Value) {
	v.Raw = msg
	_ = fields(msg, func(num protowire.Number, typ protowire.Type, whole, value []byte) (bool, error) {
		switch {
		case num == 1 && typ == protowire.BytesType:
			v.Kind, v.Str = KindString, text(value)
		case num == 2 && typ == protowire.VarintType:
			v.Kind, v.Bool = KindBool, varint(whole) != 0
		case num == 3 && typ == protowire.VarintType:
			v.Kind, v.Int = KindInt, int64(varint(whole))
		case num == 4 && typ == protowire.Fixed64Type:
			v.Kind, v.Float = KindFloat, math.Float64frombits(fixed64(whole))
		case num >= 5 && typ == protowire.BytesType:
			v.Kind = KindOther
		}
		return true, nil
	})
	return v
}

// Attributes calls visit for each KeyValue in field number field of msg, until
// it returns false. Keys and values alias msg.
func attributes(msg []byte, field protowire.Number, visit func(key string, value []byte) bool) {
	_ = fields(msg, func(num protowire.Number, typ protowire.Type, _, kv []byte) (bool, error) {
		if num != field || typ != protowire.BytesType {
			return true, nil
		}
		key, value := keyValue(kv)
		return visit(key, value), nil
	})
}

func keyValue(kv []byte) (key string, value []byte) {
	_ = fields(kv, func(num protowire.Number, typ protowire.Type, _, b []byte) (bool, error) {
		switch {
		case num == 1 && typ == protowire.BytesType:
			key = text(b)
		case num == 2 && typ == protowire.BytesType:
			value = b
		}
		return true, nil
	})
	return key, value
}

// text views b as a string without a copy; b is never written to again.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// varint and fixed64 read the value of a whole field that fields has checked.
func varint(whole []byte) uint64 {
	_, _, n := protowire.ConsumeTag(whole)
	v, _ := protowire.ConsumeVarint(whole[n:])
	return v
}

func fixed64(whole []byte) uint64 {
	_, _, n := protowire.ConsumeTag(whole)
	v, _ := protowire.ConsumeFixed64(whole[n:])
	return v
}

// TraceID is the 16 bytes of a trace id; all zero is none.
type TraceID [16]byte

// IsEmpty reports whether there is no id.
func (t TraceID) IsEmpty() bool { return t == TraceID{} }

// String is the id in 32 lower-case hexadecimal digits.
func (t TraceID) String() string { return hex.EncodeToString(t[:]) }

// SpanID is the 8 bytes of a span id; all zero is none.
type SpanID [8]byte

// IsEmpty reports whether there is no id.
func (s SpanID) IsEmpty() bool { return s == SpanID{} }

// String is the id in 16 lower-case hexadecimal digits.
func (s SpanID) String() string { return hex.EncodeToString(s[:]) }
