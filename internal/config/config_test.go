package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func loadAndValidate(path string) error {
	cfg, err := Load(path)
	if err != nil {
		return err
	}
	return cfg.Validate()
}

// The first line of each bad fixture says what the error must contain.
func TestBadFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("the fixture does not say what it wants")
			}
			err = loadAndValidate(path)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is in the error: %v", err)
			}
		})
	}
}

func TestGoodFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, path := range files {
		if err := loadAndValidate(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFullFixtureIsRead(t *testing.T) {
	cfg, err := Load("testdata/full.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Store.Metrics.Retention.Std(); got != 45*24*time.Hour {
		t.Errorf("store.metrics.retention = %s", got)
	}
	if cfg.Store.SyncInterval != 0 || cfg.Store.Metrics.MaxBytes != 20e9 || cfg.Listen.MaxRequest != 8<<20 {
		t.Errorf("store = %+v, listen = %+v", cfg.Store, cfg.Listen)
	}
	if cfg.Store.Metrics.QueryMaxSamples != Default().Store.Metrics.QueryMaxSamples {
		t.Error("a field that was left out lost its default")
	}
	f := cfg.Forward[1].WithDefaults()
	if f.Protocol != "grpc" || f.Batch.Size != 512 || f.Batch.Timeout.Std() != 5*time.Second || len(f.Signals) != 3 {
		t.Errorf("forward[1] with defaults = %+v", f)
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	cfg, err := Parse([]byte("listen: {http: x, maxRequest: 1}\nstore: {dir: ''}\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = cfg.Validate()
	for _, want := range []string{"listen.http", "listen.maxRequest", "store.dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
	var field *FieldError
	if !errors.As(err, &field) {
		t.Errorf("%T is no FieldError", err)
	}
}

func TestExposureNeedsATokenOrInsecure(t *testing.T) {
	cfg := Default()
	cfg.Listen.HTTP = "[::]:8484"
	if err := cfg.Validate(); err == nil {
		t.Error("an open address without a token is allowed")
	}
	cfg.Listen.Insecure = true
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Listen.Insecure = false
	cfg.Auth.Tokens = []Token{{Name: "x", Env: "X"}}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTokensAreReadFromTheirPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("A_TOKEN", "fedcba9876543210")
	a := Auth{Tokens: []Token{{Name: "env", Env: "A_TOKEN"}, {Name: "file", File: file, Access: []string{AccessWrite}}}}
	got, err := a.Resolve()
	if err != nil || len(got) != 2 || got[0].Token != "fedcba9876543210" || got[1].Token != "0123456789abcdef" {
		t.Fatalf("got %v, %v", got, err)
	}
	t.Setenv("A_TOKEN", "short")
	if _, err := a.Resolve(); err == nil || strings.Contains(err.Error(), "short\"") {
		t.Errorf("got %v, want an error without the token", err)
	}
	t.Setenv("A_TOKEN", "")
	if _, err := a.Resolve(); err == nil || !strings.Contains(err.Error(), "A_TOKEN") {
		t.Errorf("got %v, want the variable's name", err)
	}
}
