package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/rollout"
)

func TestPagesWithNothingStored(t *testing.T) {
	base, _ := start(t, nil)
	for path, want := range map[string][]string{
		"/":         {"No Helm operation has been reported yet.", "No canary runs now.", "No Helm operation runs now."},
		"/releases": {"there is nothing to be a share of", "No Kubernetes event has come in"},
		"/canaries": {"No rollout has been reported to this server."},
		"/alerts":   {"Nobody is told: no receiver is configured.", "HelmRollbackRateHigh"},
		"/health":   {"Nothing has reported yet.", "Nothing is forwarded."},
	} {
		code, body := get(t, base+path)
		if code != 200 {
			t.Errorf("%s: %d", path, code)
		}
		for _, one := range want {
			if !strings.Contains(words(body), one) {
				t.Errorf("%s does not say %q:\n%s", path, one, words(body))
			}
		}
	}
	for path, status := range map[string]int{
		"/nothing": 404, "/releases/shop/nothing": 404, "/deployments/a/deploy": 404, "/canaries/x": 404, "/?range=1y": 400, "/releases?page=0": 400, "/canaries?until=x": 400,
	} {
		if code, body := get(t, base+path); code != status || !strings.Contains(body, "Back to the overview") {
			t.Errorf("%s: %d, want %d", path, code, status)
		}
	}
}

func TestPagesShowWhatIsStored(t *testing.T) {
	base, sender := start(t, nil)
	w := seed(t, base, sender)
	if w.bad.Decision != rollout.DecisionRollback {
		t.Errorf("the judge's verdict on the broken canary is %s (%s)", w.bad.Decision, w.bad.DecisionReason)
	}
	pages := pagesOf(w)
	for name, want := range map[string][]string{
		"overview": {"checkout", "it last said \"no database at db:5432\"", "Awaiting approval", "Operations running", "catalog", "rollbacks to"},
		"releases": {"Deployment frequency", "Alert above 20 %", "BackOff", "19 others", "deployments ended in the last 24 hours"},
		"release":  {"Revision", "successes in 30 days", "diff <(helm get values checkout -n shop --revision"},
		"deployment": {"upgrade of checkout", "keeps crashing (Error, exit code 3, 2 restarts)", "rollback to 1", "exit code 3", "connecting to db:5432",
			"helm-upgrade", "k8s.workload.rollout", "the path to what failed is open", "Back-off restarting failed container", "taken", "node-1"},
		"canaries": {"In progress", "Promoted", "Rolled back", "Awaiting approval"},
		"canary": {"Rolled back", "stopped here", "Roll back", "Failed Error rate /checkout", "canary", "stable", "n too small", "INSERT orders",
			"app.payment.provider=newpay", "currency", "Decision log", "looks until"},
		"canary-running": {"waits for a person", "fairlead rollout approve search -n shop", "50 %"},
		"alerts":         {"evaluated", "HelmDeploymentSlow"},
		"health":         {"fairlead agent", "fairlead helm", "controller", "log records", "accepted"},
	} {
		code, body := get(t, base+pages[name])
		if code != 200 {
			t.Errorf("%s: %d %s", name, code, words(body))
		}
		text := html.UnescapeString(words(body))
		for _, one := range want {
			if !strings.Contains(text, one) {
				t.Errorf("%s does not say %q:\n%s", name, one, text)
			}
		}
		checkTree(t, name, body)
	}
}

// checkTree looks for what a browser would refuse under the policy, and for
// links that lead outside the base.
func checkTree(t *testing.T, name, body string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s=%q> is refused by the content security policy", name, n.Data, a.Key, a.Val)
			}
			if a.Key == "id" {
				if ids[a.Val] {
					t.Errorf("%s: id %q twice", name, a.Val)
				}
				ids[a.Val] = true
			}
		}
		if n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: inline script", name)
		}
	}
}

func TestEverythingIsBelowTheBasePath(t *testing.T) {
	link := regexp.MustCompile(`(?:href|action|src)="([^"#]*)"`)
	check := func(body string) {
		t.Helper()
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			if strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "/ops/fairlead/") {
				t.Errorf("link %s leaves the base path", m[1])
			}
		}
	}
	base, _ := start(t, func(c *config.Server) { c.Listen.BasePath = "/ops/fairlead" })
	for _, path := range []string{"/ops/fairlead/releases", "/releases"} { // whether the proxy cuts it off or not
		code, body := get(t, base+path)
		if code != 200 {
			t.Errorf("%s: %d", path, code)
		}
		check(body)
	}
	base, _ = start(t, nil)
	_, body := get(t, base+"/", "X-Forwarded-Prefix", "/ops/fairlead")
	check(body)
	if _, body := get(t, base+"/", "X-Forwarded-Prefix", `//evil.example/"><script>`); strings.Contains(body, "evil") {
		t.Error("a forged prefix is in the page")
	}
}

func TestSessions(t *testing.T) {
	t.Setenv("READER", "reader-0123456789")
	t.Setenv("WRITER", "writer-0123456789")
	base, _ := start(t, func(c *config.Server) {
		c.Auth.Tokens = []config.Token{{Name: "reader", Env: "READER"}, {Name: "writer", Env: "WRITER", Access: []string{"read", "write"}}}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Jar: jar}
	visit := func(method, path string, form url.Values, headers ...string) (int, string, *http.Response) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp
	}
	if _, body, resp := visit("GET", "/releases?range=7d", nil); resp.Request.URL.Path != "/login" || !strings.Contains(body, `value="/releases?range=7d"`) {
		t.Errorf("without a token: %s", resp.Request.URL)
	}
	if code, _, _ := visit("GET", "/live", nil); code != 401 {
		t.Errorf("stream without a token: %d", code)
	}
	if code, body, _ := visit("POST", "/login", url.Values{"token": {"wrong-0123456789ab"}}); code != 403 || !strings.Contains(body, "That did not work.") {
		t.Errorf("a wrong token: %d", code)
	}
	if code, _, resp := visit("POST", "/login", url.Values{"token": {"reader-0123456789"}, "next": {"//evil.example/"}}); code != 200 || resp.Request.URL.String() != base+"/" {
		t.Errorf("login with a foreign next ends at %s, %d", resp.Request.URL, code)
	}
	for _, c := range jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(base, "http://"), Path: "/"}) {
		if strings.Contains(c.Value, "reader-0123456789") {
			t.Error("the cookie holds the token")
		}
	}
	if code, _, _ := visit("GET", "/api/v1/releases", nil); code != 200 {
		t.Errorf("the API with a session that may read: %d", code)
	}
	if code, _, _ := visit("POST", "/api/v1/backup", nil); code != 401 {
		t.Errorf("an action of the API with a session alone: %d, want 401", code)
	}
	if code, body, _ := visit("POST", "/actions/test-fire", url.Values{"rule": {"HelmDeploymentSlow"}}); code != 403 || !strings.Contains(body, "write access") {
		t.Errorf("an action by a reader: %d", code)
	}
	visit("POST", "/login", url.Values{"token": {"writer-0123456789"}})
	if code, body, _ := visit("POST", "/actions/test-fire", url.Values{"rule": {"HelmDeploymentSlow"}}); code != 403 || !strings.Contains(body, "not of this session") {
		t.Errorf("an action without the form's token: %d", code)
	}
	if code, _, _ := visit("POST", "/theme", url.Values{"theme": {"dark"}}, "Sec-Fetch-Site", "cross-site"); code != 403 {
		t.Errorf("a form of another site: %d, want 403", code)
	}
	_, _, resp := visit("POST", "/theme", url.Values{"theme": {"dark"}, "next": {"/"}})
	if _, body, _ := visit("GET", "/", nil); !strings.Contains(body, `data-theme="dark"`) || resp.StatusCode != http.StatusOK {
		t.Error("the theme is not kept")
	}
	if _, _, resp := visit("POST", "/logout", nil); resp.Request.URL.Path != "/login" {
		t.Errorf("logout ends at %s", resp.Request.URL)
	}
	if _, _, resp := visit("GET", "/", nil); resp.Request.URL.Path != "/login" {
		t.Error("a session outlives its logout")
	}
}

func TestProxySaysWhoReads(t *testing.T) {
	base, _ := start(t, func(c *config.Server) {
		c.Auth.Proxy = &config.AuthProxy{From: []string{"127.0.0.1/32"}, UserHeader: "X-Forwarded-User", GroupsHeader: "X-Forwarded-Groups", WriteGroups: []string{"sre"}}
	})
	if code, _ := get(t, base+"/"); code != http.StatusSeeOther {
		t.Errorf("without the header: %d", code)
	}
	if code, body := get(t, base+"/", "X-Forwarded-User", "ada"); code != 200 || !strings.Contains(body, "Signed in as ada") {
		t.Errorf("with the header: %d", code)
	}
	base, _ = start(t, func(c *config.Server) {
		c.Auth.Proxy = &config.AuthProxy{From: []string{"192.0.2.1/32"}, UserHeader: "X-Forwarded-User"}
	})
	if code, _ := get(t, base+"/", "X-Forwarded-User", "ada"); code != http.StatusSeeOther {
		t.Errorf("the header from elsewhere: %d", code)
	}
}

// TestLargePages holds the weight of a page within its bound, and the waterfall
// of 2,000 spans among them.
func TestLargePages(t *testing.T) {
	base, sender := start(t, nil)
	ctx := context.Background()
	if err := sender.Deploys(ctx, time.Now(), 1, 60, 800); err != nil {
		t.Fatal(err)
	}
	if err := sender.Trace(ctx, [16]byte{9, 9}, time.Now().Add(-5*time.Minute), 2600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/releases?range=30d", "/deployments/large-0001/deploy"} {
		code, body := get(t, base+path)
		if code != 200 {
			t.Fatalf("%s: %d", path, code)
		}
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
		w.Write([]byte(body))
		w.Close()
		if z.Len() > 150<<10 {
			t.Errorf("%s is %d bytes compressed, at most 150 KiB", path, z.Len())
		}
		if strings.Contains(path, "large") && !strings.Contains(words(body), "2000 of 2600 spans are shown") {
			t.Error("the waterfall does not say that it was cut")
		}
	}
}

// TestVendoredFiles holds the files of others to their checksums.
func TestVendoredFiles(t *testing.T) {
	sums, err := os.ReadFile("licenses/SHA512SUMS")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(sums)), "\n") {
		want, file, _ := strings.Cut(line, "  ")
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := sha512.Sum512(body); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s is not the file that was vendored", file)
		}
	}
}
