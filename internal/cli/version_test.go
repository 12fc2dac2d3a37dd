package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersionFromBuildInfo(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}
	for name, c := range map[string]struct {
		main     string
		settings []debug.BuildSetting
		want     [3]string
	}{
		"go install of a version": {"v0.1.2", nil, [3]string{"0.1.2", "unknown", "unknown"}},
		"a checkout":              {"v0.0.0-20260102030405-0123456789ab", vcs[:2], [3]string{"0.1.0-dev", "0123456789ab", "2026-01-02T03:04:05Z"}},
		"a changed checkout":      {"(devel)", vcs, [3]string{"0.1.0-dev", "0123456789ab-modified", "2026-01-02T03:04:05Z"}},
		"nothing known":           {"", nil, [3]string{"0.1.0-dev", "unknown", "unknown"}},
	} {
		v, commit, date := fromBuildInfo(&debug.BuildInfo{Main: debug.Module{Version: c.main}, Settings: c.settings}, "0.1.0-dev")
		if got := [3]string{v, commit, date}; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
