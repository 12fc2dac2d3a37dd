package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"fairlead.dev/fairlead/internal/config"
)

// structDocs are the comments of a package's structs.
type structDocs map[string]structDoc

type structDoc struct {
	text   string
	fields map[string]fieldDoc
}

type fieldDoc struct {
	above, beside string
}

func configurationPage(dir string) (string, error) {
	docs, err := readStructs(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(generated + `# The server's configuration file

Read with ` + "`fairlead server --config FILE`" + `. Everything in it is optional. Unknown and doubled fields are errors, and every error names the
field by its path and the value that was found. ` + "[The server](../server.md)" + ` says more about running it.

- A **duration** is written as Prometheus writes it: ` + "`90s`, `5m`, `1h30m`, `15d`" + `.
- A **size** is a number of bytes, or has a unit: ` + "`kB`, `MB`, `GB`, `TB` (powers of 1000), `KiB`, `MiB`, `GiB`, `TiB`" + ` (powers of 1024).
- Where the default is empty there is none: the field is off, or has to be set where its section is used.
`)
	root := reflect.ValueOf(*config.Default())
	for i := range root.NumField() {
		f := root.Type().Field(i)
		if err := docs.section(&b, yamlName(f), f.Type, root.Field(i)); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func readStructs(dir string) (structDocs, error) {
	docs := structDocs{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			docs.add(d)
		}
	}
	if len(docs) == 0 {
		return nil, fmt.Errorf("no structs in %s", dir)
	}
	return docs, nil
}

func (docs structDocs) add(d ast.Decl) {
	decl, ok := d.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range decl.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		if s, ok := t.Type.(*ast.StructType); ok {
			docs[t.Name.Name] = structDoc{oneLine(decl.Doc.Text()), fieldDocs(s)}
		}
	}
}

func fieldDocs(s *ast.StructType) map[string]fieldDoc {
	out := map[string]fieldDoc{}
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			out[name.Name] = fieldDoc{oneLine(f.Doc.Text()), oneLine(f.Comment.Text())}
		}
	}
	return out
}

// section writes the fields of the struct (or the list of structs) at path,
// then the structs below it.
func (docs structDocs) section(b *strings.Builder, path string, t reflect.Type, v reflect.Value) error {
	if t.Kind() == reflect.Slice {
		path, t, v = path+"[]", t.Elem(), withDefaults(reflect.Zero(t.Elem()))
	}
	optional := t.Kind() == reflect.Pointer
	if optional {
		t, v = t.Elem(), reflect.Zero(t.Elem())
	}
	d, ok := docs[t.Name()]
	if !ok {
		return fmt.Errorf("%s: no source of struct %s", path, t.Name())
	}
	text := strings.Replace(d.text, t.Name()+" ", "`"+path+"` ", 1)
	fmt.Fprintf(b, "\n## %s\n\n%s\n", path, inYAML(t, text))
	b.WriteString("\n| field | type | default | |\n|---|---|---|---|\n")
	type below struct {
		path  string
		field reflect.StructField
		value reflect.Value
	}
	var nested []below
	previous := fieldDoc{}
	previousName := ""
	for i := range t.NumField() {
		f := t.Field(i)
		name := yamlName(f)
		own := d.fields[f.Name]
		about := own.beside
		switch {
		case own.above != "":
			about = inYAML(t, own.above)
			if own.beside != "" {
				about += " " + own.beside
			}
			previous, previousName = own, name
		case about == "" && regexp.MustCompile(`\b`+f.Name+`\b`).MatchString(previous.above):
			about = "see `" + previousName + "`"
		}
		if structured(f.Type) {
			nested = append(nested, below{path + "." + name, f, v.Field(i)})
			about = strings.TrimSpace(about + " See [below](#" + anchor(path+"."+name) + ").")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, typeName(f.Type), defaultOf(v.Field(i)), strings.ReplaceAll(about, "|", `\|`))
	}
	for _, n := range nested {
		if err := docs.section(b, n.path, n.field.Type, n.value); err != nil {
			return err
		}
	}
	return nil
}

// withDefaults fills in what a list's entry leaves out, where its type can.
func withDefaults(v reflect.Value) reflect.Value {
	if m := v.MethodByName("WithDefaults"); m.IsValid() {
		return m.Call(nil)[0]
	}
	return v
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func structured(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

func anchor(path string) string {
	return strings.ToLower(strings.NewReplacer(".", "", "[]", "").Replace(path))
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[config.Duration]():
		return "duration"
	case t == reflect.TypeFor[config.Bytes]():
		return "size"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return typeName(t.Key()) + " to " + typeName(t.Elem())
	case t.Kind() == reflect.Struct:
		return "section"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Bool:
		return "true, false"
	default:
		return t.Kind().String()
	}
}

func defaultOf(v reflect.Value) string {
	switch {
	case structured(v.Type()):
		return ""
	case v.Kind() == reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, fmt.Sprintf("`%v`", v.Index(i)))
		}
		return strings.Join(items, ", ")
	case v.Kind() == reflect.String && v.Len() == 0, v.Kind() == reflect.Map:
		return ""
	default:
		return fmt.Sprintf("`%v`", v.Interface())
	}
}

var (
	linked = regexp.MustCompile(`\[(\w+)\.(\w+)\]`)
	access = regexp.MustCompile(`\bAccess(Ingest|Read|Write)\b`)
)

// inYAML replaces what Go calls the fields by what the file calls them.
func inYAML(t reflect.Type, text string) string {
	text = linked.ReplaceAllStringFunc(text, func(s string) string { return "`" + strings.ToLower(strings.Trim(s, "[]")) + "`" })
	text = access.ReplaceAllStringFunc(text, func(s string) string { return "`" + strings.ToLower(strings.TrimPrefix(s, "Access")) + "`" })
	for i := range t.NumField() {
		f := t.Field(i)
		text = regexp.MustCompile(`\b`+f.Name+`\b`).ReplaceAllString(text, "`"+yamlName(f)+"`")
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "; nil = none", ""), "nil means", "left out means")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
