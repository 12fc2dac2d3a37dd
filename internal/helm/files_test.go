package helm

import (
	"os"
	"path/filepath"
	"testing"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeChart writes a chart that consists of the files given and returns its directory.
func writeChart(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if files["Chart.yaml"] == "" {
		writeFile(t, dir+"/Chart.yaml", "apiVersion: v2\nname: sample\nversion: 0.1.0\nappVersion: \"1.0\"\n")
	}
	for name, text := range files {
		writeFile(t, dir+"/"+name, text)
	}
	return dir
}
