// Package otlpwire reads OTLP traces and logs in their protobuf form without
// decoding them whole.
//
// TracesData and LogsData have the same envelope: resource groups (field 1),
// in them scope groups (field 2), in them items (field 2): spans or log
// records. Everything of a group that is not an item is its header, kept byte
// for byte, so that regrouping items loses no field, known or unknown.
package otlpwire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the envelope, the same for traces and logs.
const (
	fieldResourceGroup = 1 // in TracesData, LogsData
	fieldScopeGroup    = 2 // in ResourceSpans, ResourceLogs
	fieldItem          = 2 // in ScopeSpans, ScopeLogs
)

// ErrMalformed is wrapped by every error about bytes that are not OTLP.
var ErrMalformed = errors.New("malformed OTLP protobuf")

// Item is one span or log record with the headers of its groups. The slices
// belong to the walked data or to the walk: they stay valid, and nobody may
// write to them.
type Item struct {
	Resource []byte // the resource group without its scope groups
	Scope    []byte // the scope group without its items
	Raw      []byte // the span or log record
}

// Walk calls visit for each item of an encoded TracesData or LogsData, in
// order, and ends early when visit returns false. Items that follow each other
// in the same group have identical (not only equal) Resource and Scope.
func Walk(data []byte, visit func(Item) bool) error {
	return fields(data, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
		if num != fieldResourceGroup || typ != protowire.BytesType {
			return true, nil
		}
		resource, err := header(value)
		if err != nil {
			return false, err
		}
		goOn := true
		err = fields(value, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
			if num != fieldScopeGroup || typ != protowire.BytesType {
				return true, nil
			}
			scope, err := header(value)
			if err != nil {
				return false, err
			}
			err = fields(value, func(num protowire.Number, typ protowire.Type, _, value []byte) (bool, error) {
				if num == fieldItem && typ == protowire.BytesType {
					goOn = visit(Item{Resource: resource, Scope: scope, Raw: value})
				}
				return goOn, nil
			})
			return goOn, err
		})
		return goOn, err
	})
}

// header returns what a group's message holds beside field 2. Messages of our
// own writing have it in one piece at the front, which costs no copy.
func header(msg []byte) ([]byte, error) {
	var front, rest []byte
	offset, contiguous := 0, true
	err := fields(msg, func(num protowire.Number, typ protowire.Type, whole, _ []byte) (bool, error) {
		isItem := num == fieldItem && typ == protowire.BytesType
		switch {
		case isItem:
			contiguous = false
		case contiguous:
			offset += len(whole)
			front = msg[:offset:offset]
		default:
			rest = append(rest, whole...)
		}
		return true, nil
	})
	if err != nil || rest == nil {
		return front, err
	}
	return append(front, rest...), nil
}

// fields calls visit for each field of msg: with the whole field, tag
// included, and for the length-delimited ones the value.
func fields(msg []byte, visit func(num protowire.Number, typ protowire.Type, whole, value []byte) (bool, error)) error {
	for len(msg) > 0 {
		num, typ, tagLen := protowire.ConsumeTag(msg)
		if tagLen < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(tagLen))
		}
		var value []byte
		var n int
		if typ == protowire.BytesType {
			value, n = protowire.ConsumeBytes(msg[tagLen:])
		} else {
			n = protowire.ConsumeFieldValue(num, typ, msg[tagLen:])
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", ErrMalformed, num, protowire.ParseError(n))
		}
		goOn, err := visit(num, typ, msg[:tagLen+n], value)
		if err != nil || !goOn {
			return err
		}
		msg = msg[tagLen+n:]
	}
	return nil
}

// Append appends items to dst as the body of a TracesData or LogsData, so that
// Walk gives them back in the same order. Neighbours with equal headers share
// their groups: sort items first for small results.
func Append(dst []byte, items []Item) []byte {
	for len(items) > 0 {
		n := 1
		for n < len(items) && string(items[n].Resource) == string(items[0].Resource) {
			n++
		}
		dst = appendResourceGroup(dst, items[:n])
		items = items[n:]
	}
	return dst
}

func appendResourceGroup(dst []byte, items []Item) []byte {
	var scopes []int // lengths of the scope groups' bodies
	size := len(items[0].Resource)
	for lo := 0; lo < len(items); {
		hi := scopeEnd(items, lo)
		body := len(items[lo].Scope)
		for _, it := range items[lo:hi] {
			body += protowire.SizeTag(fieldItem) + protowire.SizeBytes(len(it.Raw))
		}
		scopes = append(scopes, body)
		size += protowire.SizeTag(fieldScopeGroup) + protowire.SizeBytes(body)
		lo = hi
	}
	dst = protowire.AppendTag(dst, fieldResourceGroup, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = append(dst, items[0].Resource...)
	for lo, k := 0, 0; lo < len(items); k++ {
		hi := scopeEnd(items, lo)
		dst = protowire.AppendTag(dst, fieldScopeGroup, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(scopes[k]))
		dst = append(dst, items[lo].Scope...)
		for _, it := range items[lo:hi] {
			dst = protowire.AppendTag(dst, fieldItem, protowire.BytesType)
			dst = protowire.AppendBytes(dst, it.Raw)
		}
		lo = hi
	}
	return dst
}

func scopeEnd(items []Item, lo int) int {
	hi := lo + 1
	for hi < len(items) && string(items[hi].Scope) == string(items[lo].Scope) {
		hi++
	}
	return hi
}
