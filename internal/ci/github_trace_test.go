package ci

import "testing"

// The expected ids are of `printf %s%st RUN ATTEMPT | sha256sum`: the first 32
// digits, and with s for t the 16 after the first 16.
func TestGitHubTraceparent(t *testing.T) {
	for _, c := range []struct {
		reason string
		env    map[string]string
		want   string
	}{
		{"a second attempt", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "16730000004", "GITHUB_RUN_ATTEMPT": "2"},
			"00-96d33430fafa7ef17d8bf342f8dc39e1-b74d76cdfeb1ab9a-01"},
		{"no attempt named", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7"},
			"00-471e091cbe197ff3f183bd6b357750b6-5df9680a1bab2086-01"},
		{"not GitHub", map[string]string{"GITHUB_RUN_ID": "7"}, ""},
		{"no run", map[string]string{"GITHUB_ACTIONS": "true"}, ""},
	} {
		if got := GitHubTraceparent(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s: %q, want %q", c.reason, got, c.want)
		}
	}
}
