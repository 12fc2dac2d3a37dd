// Command sbom writes the bill of materials of Go binaries, in CycloneDX's JSON,
// from what the Go linker has put into them: exactly what was linked.
//
//	go run ./release/sbom BINARY... writes BINARY.cdx.json beside each
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
)

type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
}

func main() {
	for _, path := range os.Args[1:] {
		if err := write(path); err != nil {
			fmt.Fprintf(os.Stderr, "bill of materials of %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func write(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	program := module(&info.Main, "application")
	program.Name = filepath.Base(path)
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{program}, Components: []component{{
		Type: "library", Ref: "pkg:golang/std@" + info.GoVersion[2:], Name: "std", Version: info.GoVersion[2:], PURL: "pkg:golang/std@" + info.GoVersion[2:],
	}}}
	for _, m := range info.Deps {
		if m.Replace != nil && m.Replace.Version != "" {
			m = m.Replace
		}
		b.Components = append(b.Components, module(m, "library"))
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path+".cdx.json", append(text, '\n'), 0o644)
}

func module(m *debug.Module, kind string) component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	return component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
}
