//go:build unix && !linux

package helm

// growPipe does nothing: pipes have a fixed size here, 64 KiB on macOS.
func growPipe(uintptr) {}
