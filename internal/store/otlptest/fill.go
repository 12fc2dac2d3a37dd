package otlptest

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNesting bounds values in values: an attribute may hold a list of lists.
const maxNesting = 4

// Fill sets every field of an OTLP message, of a oneof each of its cases in
// one element of the list that holds it, to a value that is not its default.
// Ids have their lengths: a trace id 16 bytes, a span id 8.
func Fill(m proto.Message, seed int) {
	f := &filler{n: seed}
	f.message(m.ProtoReflect(), 0)
}

type filler struct {
	n      int // the running number that values are made of
	choice int // of the case of the next oneof
}

func (f *filler) message(m protoreflect.Message, nesting int) {
	fields := m.Descriptor().Fields()
	// One case after the other: lists have enough elements for all.
	choice := f.choice
	if m.Descriptor().Oneofs().Len() > 0 {
		f.choice++
	}
	for i := range fields.Len() {
		fd := fields.Get(i)
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			if o.Fields().Get(choice%o.Fields().Len()).Number() != fd.Number() {
				continue
			}
		}
		if fd.IsList() {
			f.list(m.Mutable(fd).List(), fd, nesting)
			continue
		}
		if fd.Message() != nil {
			if !tooDeep(fd, nesting) {
				f.message(m.Mutable(fd).Message(), depth(fd, nesting))
			}
			continue
		}
		m.Set(fd, f.scalar(fd))
	}
	f.n++
}

// depth counts the values that a message lies in.
func depth(fd protoreflect.FieldDescriptor, nesting int) int {
	switch fd.Message().Name() {
	case "ArrayValue", "KeyValueList":
		return nesting + 1
	}
	return nesting
}

func tooDeep(fd protoreflect.FieldDescriptor, nesting int) bool {
	return depth(fd, nesting) > maxNesting
}

func (f *filler) list(l protoreflect.List, fd protoreflect.FieldDescriptor, nesting int) {
	n := 1
	switch fd.Name() {
	case "attributes", "values":
		n = 9 // more than a value has cases
		if nesting > 1 {
			n = 2
		}
	}
	for range n {
		if fd.Message() == nil {
			l.Append(f.scalar(fd))
			continue
		}
		if tooDeep(fd, nesting) {
			return
		}
		el := l.NewElement()
		f.message(el.Message(), depth(fd, nesting))
		l.Append(el)
	}
}

func (f *filler) scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	f.n++
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s-%d", fd.Name(), f.n))
	case protoreflect.BytesKind:
		size := 8
		if fd.Name() == "trace_id" {
			size = 16
		}
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(f.n + i + 1)
		}
		return protoreflect.ValueOfBytes(b)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(fd.Enum().Values().Get(fd.Enum().Values().Len() - 1).Number())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(f.n) + 0.5)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(f.n))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(f.n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(f.n))
	}
	return protoreflect.ValueOfUint64(uint64(f.n))
}

// Unfilled lists the fields, reachable from the message's type, that are set
// nowhere in it: what a test with it would not notice.
func Unfilled(m proto.Message) (names []string) {
	set, known := map[protoreflect.FullName]bool{}, map[protoreflect.FullName]bool{}
	var walk func(protoreflect.Message)
	walk = func(m protoreflect.Message) {
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			set[fd.FullName()] = true
			switch {
			case fd.Message() == nil:
			case fd.IsList():
				for i := range v.List().Len() {
					walk(v.List().Get(i).Message())
				}
			default:
				walk(v.Message())
			}
			return true
		})
	}
	walk(m.ProtoReflect())
	var reach func(protoreflect.MessageDescriptor)
	reach = func(d protoreflect.MessageDescriptor) {
		for i := range d.Fields().Len() {
			fd := d.Fields().Get(i)
			if known[fd.FullName()] {
				continue
			}
			known[fd.FullName()] = true
			if !set[fd.FullName()] {
				names = append(names, string(fd.FullName()))
			}
			if fd.Message() != nil {
				reach(fd.Message())
			}
		}
	}
	reach(m.ProtoReflect().Descriptor())
	return names
}

// Difference lists the paths at which two messages differ.
func Difference(a, b proto.Message) (paths []string) {
	return difference("", a.ProtoReflect(), b.ProtoReflect())
}

func difference(path string, a, b protoreflect.Message) (paths []string) {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		at := path + "/" + string(fd.Name())
		switch {
		case fd.IsList():
			x, y := a.Get(fd).List(), b.Get(fd).List()
			if x.Len() != y.Len() {
				paths = append(paths, fmt.Sprintf("%s: %d elements, %d came back", at, x.Len(), y.Len()))
				continue
			}
			for k := range x.Len() {
				el := fmt.Sprintf("%s[%d]", at, k)
				if fd.Message() != nil {
					paths = append(paths, difference(el, x.Get(k).Message(), y.Get(k).Message())...)
				} else if !x.Get(k).Equal(y.Get(k)) {
					paths = append(paths, el)
				}
			}
		case a.Has(fd) != b.Has(fd):
			paths = append(paths, at)
		case fd.Message() != nil && a.Has(fd):
			paths = append(paths, difference(at, a.Get(fd).Message(), b.Get(fd).Message())...)
		case !a.Get(fd).Equal(b.Get(fd)):
			paths = append(paths, at)
		}
	}
	return paths
}
