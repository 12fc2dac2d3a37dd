//go:build ignore

// Generate draws the recording of this directory again, byte for byte:
//
//	go run examples/recordings/generate.go
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"fairlead.dev/fairlead/internal/recording"
	"fairlead.dev/fairlead/internal/recording/simulate"
)

func main() {
	// One route of six fails three of a hundred requests more: far below the
	// ten points of difference that a fixed threshold allows.
	o := simulate.Options{Seed: 42, Rate: 60, Routes: 6, Pods: 8, Fault: simulate.Fault{Route: 2, Errors: 0.03}}
	if err := write(filepath.Join("examples", "recordings", "broken-route.om.zst"), o); err != nil {
		log.Fatal(err)
	}
}

func write(path string, o simulate.Options) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if err := recording.Write(z, simulate.Rollout(o)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
