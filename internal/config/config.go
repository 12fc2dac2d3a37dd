// Package config reads the server's configuration file: one struct per
// section, decoded strictly, defaulted, then validated section by section
// before anything starts. Start with [Load] or [Default].
//
// Every error names the field by its path in the file and the value that was
// found there; see [FieldError].
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// Server is the server's configuration file.
type Server struct {
	Listen  Listen    `yaml:"listen"`  // addresses and their limits
	Store   Store     `yaml:"store"`   // where telemetry is kept
	Forward []Forward `yaml:"forward"` // who gets a copy
	Alerts  Alerts    `yaml:"alerts"`  // what is alerted on, and who is told
	Auth    Auth      `yaml:"auth"`    // who may do what
}

// Default returns the configuration of a server without a file.
func Default() *Server {
	return &Server{
		Listen: defaultListen(),
		Store:  defaultStore(),
		Alerts: defaultAlerts(),
	}
}

// maxFileBytes bounds the configuration file: a thousand times what a long one
// needs, so that a wrong path (a log, a device) is an error and not a hang.
const maxFileBytes = 4 << 20

// Load reads and decodes the file at path over the defaults. It does not
// validate: flags may still change fields; see [Server.Validate].
func Load(path string) (*Server, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", path, err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("read config %s: larger than %d bytes", path, maxFileBytes)
	}
	cfg, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	return cfg, nil
}

// Parse decodes YAML over the defaults. Unknown fields, doubled fields and
// values of the wrong type are errors. An empty document is the default.
func Parse(data []byte) (*Server, error) {
	cfg := Default()
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return cfg, nil
		}
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document in the file")
	}
	if err := decode(doc.Content[0], cfg); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Validate checks every section and returns all problems found, joined, each a
// [*FieldError]. It reads no files; see [Auth.Resolve] for what does.
func (s *Server) Validate() error {
	p := &problems{}
	s.Listen.validate(p.at("listen"))
	s.Store.validate(p.at("store"))
	names := map[string]bool{}
	for i := range s.Forward {
		f := &s.Forward[i]
		f.validate(p.at(fmt.Sprintf("forward[%d]", i)))
		if f.Name != "" && names[f.Name] {
			p.at(fmt.Sprintf("forward[%d]", i)).add("name", f.Name, "is used twice; each upstream needs a name of its own, its queue on disk is kept under it")
		}
		names[f.Name] = true
	}
	s.Alerts.validate(p.at("alerts"))
	s.Auth.validate(p.at("auth"))
	s.validateExposure(p)
	return p.join()
}
