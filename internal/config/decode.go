package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode fills the struct that target points to from node. The YAML library's
// own strict mode names Go types and no paths; this names the field as the
// user wrote it.
func decode(node *yaml.Node, target any) error {
	var errs []error
	decodeValue("", node, reflect.ValueOf(target).Elem(), &errs)
	return errors.Join(errs...)
}

var unmarshaler = reflect.TypeOf((*yaml.Unmarshaler)(nil)).Elem()

func decodeValue(path string, node *yaml.Node, v reflect.Value, errs *[]error) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Tag == "!!null": // "section:" with nothing below keeps the default
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		decodeValue(path, node, v.Elem(), errs)
	case v.Kind() == reflect.Struct && !reflect.PointerTo(v.Type()).Implements(unmarshaler):
		decodeStruct(path, node, v, errs)
	case v.Kind() == reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			*errs = append(*errs, &FieldError{Field: path, Value: text(node), Line: node.Line, Problem: "want a list"})
			return
		}
		list := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
		for i, item := range node.Content {
			decodeValue(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i), errs)
		}
		v.Set(list)
	case v.Kind() == reflect.Map:
		if node.Kind != yaml.MappingNode {
			*errs = append(*errs, &FieldError{Field: path, Value: text(node), Line: node.Line, Problem: "want names with values"})
			return
		}
		m := reflect.MakeMap(v.Type())
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, item := node.Content[i], reflect.New(v.Type().Elem()).Elem()
			decodeValue(path+"."+key.Value, node.Content[i+1], item, errs)
			m.SetMapIndex(reflect.ValueOf(key.Value), item)
		}
		v.Set(m)
	default:
		decodeScalar(path, node, v, errs)
	}
}

func decodeScalar(path string, node *yaml.Node, v reflect.Value, errs *[]error) {
	fail := func(problem string) {
		*errs = append(*errs, &FieldError{Field: path, Value: text(node), Line: node.Line, Problem: problem})
	}
	if node.Kind != yaml.ScalarNode {
		fail("want a single value")
		return
	}
	err := node.Decode(v.Addr().Interface())
	if err == nil {
		return
	}
	var ve *valueError
	switch {
	case errors.As(err, &ve):
		fail(ve.Error())
	case v.Kind() == reflect.Bool:
		fail("want true or false")
	case v.CanInt() || v.CanUint():
		fail("want a whole number")
	case v.CanFloat():
		fail("want a number")
	default:
		fail(err.Error())
	}
}

func decodeStruct(path string, node *yaml.Node, v reflect.Value, errs *[]error) {
	if node.Kind != yaml.MappingNode {
		name := path
		if name == "" {
			name = "the file"
		}
		*errs = append(*errs, &FieldError{Field: name, Value: text(node), Line: node.Line, Problem: "want a section with fields"})
		return
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			fields[name] = i
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		full := key.Value
		if path != "" {
			full = path + "." + key.Value
		}
		index, ok := fields[key.Value]
		switch {
		case !ok:
			*errs = append(*errs, &FieldError{Field: full, Line: key.Line, Problem: "unknown field; " + known(fields)})
		case seen[key.Value]:
			*errs = append(*errs, &FieldError{Field: full, Line: key.Line, Problem: "is given twice"})
		default:
			seen[key.Value] = true
			decodeValue(full, node.Content[i+1], v.Field(index), errs)
		}
	}
}

func known(fields map[string]int) string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	sort.Strings(names)
	return "known here: " + strings.Join(names, ", ")
}

func text(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "{...}"
	case yaml.SequenceNode:
		return "[...]"
	default:
		return node.Value
	}
}
