package main

import (
	"fmt"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// resourcePage describes the fields of a CustomResourceDefinition.
func resourcePage(manifest []byte) (string, error) {
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(manifest, &crd); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, v := range crd.Spec.Versions {
		root := v.Schema.OpenAPIV3Schema
		fmt.Fprintf(&b, "%s# %s\n\n`apiVersion: %s/%s`, `kind: %s`, %s. [Roll out a canary](../roll-out-a-canary.md) says how it is used.\n\n%s\n",
			generated, crd.Spec.Names.Kind, crd.Spec.Group, v.Name, crd.Spec.Names.Kind, strings.ToLower(string(crd.Spec.Scope)), cell(root.Description))
		for _, part := range []string{"spec", "status"} {
			schema, ok := root.Properties[part]
			if !ok {
				return "", fmt.Errorf("version %s has no %s", v.Name, part)
			}
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", part, cell(schema.Description))
			rules(&b, schema)
			b.WriteString("\n| field | type | default, limits | |\n|---|---|---|---|\n")
			fields(&b, "", schema)
		}
	}
	return b.String(), nil
}

// rules lists what the API server checks beyond types.
func rules(b *strings.Builder, s apiextensions.JSONSchemaProps) {
	if len(s.XValidations) > 0 {
		b.WriteString("\nThe API server refuses what breaks these:\n\n")
	}
	for _, r := range s.XValidations {
		fmt.Fprintf(b, "- %s\n", r.Message)
	}
}

func fields(b *strings.Builder, path string, s apiextensions.JSONSchemaProps) {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := s.Properties[name]
		kind, below := kindOf(f)
		var notes []string
		if slices.Contains(s.Required, name) {
			notes = append(notes, "required")
		}
		notes = append(notes, limits(f)...)
		about := cell(f.Description)
		for _, r := range f.XValidations {
			about += " Rule: " + cell(r.Message) + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path+name, kind, strings.Join(notes, "; "), strings.TrimSpace(about))
		if below != nil {
			suffix := "."
			if f.Type == "array" {
				suffix = "[]."
			}
			fields(b, path+name+suffix, *below)
		}
	}
}

// kindOf names a field's type, and returns the schema whose fields it has.
func kindOf(f apiextensions.JSONSchemaProps) (string, *apiextensions.JSONSchemaProps) {
	switch {
	case f.XIntOrString:
		return "integer or string", nil
	case f.Type == "array" && f.Items != nil && f.Items.Schema != nil:
		kind, below := kindOf(*f.Items.Schema)
		return "list of " + kind, below
	case f.Type == "object" && f.AdditionalProperties != nil && f.AdditionalProperties.Schema != nil:
		return "string to " + f.AdditionalProperties.Schema.Type, nil
	case f.Type == "object":
		return "object", &f
	case f.Format != "":
		return f.Type + " (" + f.Format + ")", nil
	default:
		return f.Type, nil
	}
}

func limits(f apiextensions.JSONSchemaProps) (out []string) {
	if f.Default != nil {
		out = append(out, fmt.Sprintf("default `%s`", f.Default.Raw))
	}
	for _, e := range f.Enum {
		out = append(out, fmt.Sprintf("`%s`", strings.Trim(string(e.Raw), `"`)))
	}
	if f.Minimum != nil {
		out = append(out, fmt.Sprintf("at least %g", *f.Minimum))
	}
	if f.Maximum != nil {
		out = append(out, fmt.Sprintf("at most %g", *f.Maximum))
	}
	if f.MinItems != nil {
		out = append(out, fmt.Sprintf("at least %d of them", *f.MinItems))
	}
	if f.MaxItems != nil {
		out = append(out, fmt.Sprintf("at most %d of them", *f.MaxItems))
	}
	if f.Pattern != "" {
		out = append(out, "`"+strings.ReplaceAll(f.Pattern, "|", `\|`)+"`")
	}
	return out
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.Join(strings.Fields(s), " "))
}
