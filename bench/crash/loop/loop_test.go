package loop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The quick form of the crash loop; `make crash` runs the long one.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and kills a server")
	}
	program := filepath.Join(t.TempDir(), "fairlead")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "fairlead.dev/fairlead/cmd/fairlead")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	r, err := Run(t.Context(), Options{Server: program, Kills: 3, Between: time.Second, Senders: 3, Seed: 1, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	for signal, c := range map[string]Count{"metrics": r.Metrics, "traces": r.Traces, "logs": r.Logs} {
		if c.Acknowledged == 0 {
			t.Errorf("%s: nothing was acknowledged: the loop proves nothing", signal)
		}
		if c.Found != c.Acknowledged {
			t.Errorf("%s: %d acknowledged, %d found", signal, c.Acknowledged, c.Found)
		}
	}
}
