package cli

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/server"
)

// alertServer is a real server with one webhook receiver that answers with
// status, and with a token that may write.
func alertServer(t *testing.T, status int) string {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}))
	t.Cleanup(hook.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Store.Dir, cfg.Store.MinFree = t.TempDir(), 1<<20
	cfg.Listen.HTTP, cfg.Listen.OTLPGRPC, cfg.Listen.OTLPHTTP = "127.0.0.1:0", "off", "off"
	cfg.Auth.Tokens = []config.Token{{Name: "ops", File: token, Access: []string{config.AccessRead, config.AccessWrite}}}
	cfg.Alerts.Receivers = []config.Receiver{{Name: "hook", Webhook: hook.URL}}
	s, err := server.Open(t.Context(), cfg, server.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAIRLEAD_TOKEN", "0123456789abcdef")
	return "http://" + s.HTTPAddr()
}

func TestAlertsCommands(t *testing.T) {
	url := alertServer(t, 204)
	out, errs, code := run("alerts", "test", "HelmRollbackRateHigh", "--server", url)
	if code != 0 || !strings.Contains(out, "hook       webhook   yes") {
		t.Errorf("test: %d %q %q", code, out, errs)
	}
	_, errs, code = run("alerts", "test", "Nonsense", "--server", url)
	if code != 1 || !strings.Contains(errs, "want one of [HelmRollbackRateHigh") {
		t.Errorf("unknown: %d %q", code, errs)
	}
	out, errs, code = run("alerts", "silence", "helm_namespace=shop", "--for", "1h", "-o", "json", "--server", url)
	if code != 0 || !strings.Contains(out, `"createdBy": "ops"`) {
		t.Errorf("silence: %d %q %q", code, out, errs)
	}
	_, id, _ := strings.Cut(out, `"id": "`)
	id, _, _ = strings.Cut(id, `"`)
	if out, errs, code = run("alerts", "silence", "--end", id, "--server", url); code != 0 || !strings.Contains(out, "ended") {
		t.Errorf("end: %d %q %q", code, out, errs)
	}
	if _, errs, code = run("alerts", "silence", "nonsense", "--server", url); code != 1 || !strings.Contains(errs, `matcher "nonsense": want name=value`) {
		t.Errorf("matcher: %d %q", code, errs)
	}
	if _, errs, code = run("alerts", "silence", "a=b", "--for", "1y", "--server", url); code != 1 || !strings.Contains(errs, `duration="1y": want a duration such as 2h`) {
		t.Errorf("duration: %d %q", code, errs)
	}
	if out, errs, code = run("alerts", "list", "-o", "json", "--server", url); code != 0 || !strings.Contains(out, `"name": "CanaryAnalysisNoData"`) {
		t.Errorf("list: %d %q %q", code, out, errs)
	}
}

func TestAlertsTestFailsWhenAReceiverDoes(t *testing.T) {
	url := alertServer(t, 403)
	out, _, code := run("alerts", "test", "HelmDeploymentSlow", "--server", url)
	if code != 1 || !strings.Contains(out, "403 Forbidden") {
		t.Errorf("%d %q", code, out)
	}
}

func TestAlertActionsNeedAToken(t *testing.T) {
	url := alertServer(t, 204)
	t.Setenv("FAIRLEAD_TOKEN", "")
	_, errs, code := run("alerts", "test", "HelmDeploymentSlow", "--server", url)
	if code != 1 || !strings.Contains(errs, "a bearer token is required") {
		t.Errorf("%d %q", code, errs)
	}
}
