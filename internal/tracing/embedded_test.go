package tracing_test

import (
	"context"
	"log/slog"
	"testing"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/server"
	"fairlead.dev/fairlead/internal/tracing"
)

// TestEmbeddedServer runs the contract against the server's own Tempo API, fed
// through its OTLP receiver.
func TestEmbeddedServer(t *testing.T) {
	cfg := config.Default()
	cfg.Store.Dir = t.TempDir()
	cfg.Store.MinFree = 1 << 20
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	s, err := server.Open(t.Context(), cfg, server.Options{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	source, err := tracing.NewTempo("http://"+s.HTTPAddr()+"/tempo", tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, otlp := s.OTLPAddrs()
	contract(t, sender(t, "http://"+otlp), source)
}
