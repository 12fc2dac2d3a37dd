//go:build e2e

package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"fairlead.dev/fairlead/internal/alerting/alertmanagertest"
	"fairlead.dev/fairlead/internal/api"
	"fairlead.dev/fairlead/internal/dashboards/dashboardtest"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// TestScreens plays an afternoon of a platform on a real cluster, and takes a
// picture of every page into FAIRLEAD_SCREENSHOTS (make screenshots): eight
// releases deployed by `fairlead helm` with a failing upgrade that is rolled back
// and deployments that fail in a row and take too long, with agent, controller
// and Alertmanager, and four canaries under traffic: one promoted, one rolled
// back, one that waits for a person, one in its gate. About six minutes.
func TestScreens(t *testing.T) {
	dir := os.Getenv("FAIRLEAD_SCREENSHOTS")
	if dir == "" {
		t.Skip("FAIRLEAD_SCREENSHOTS names no directory: `make screenshots` does")
	}
	node := addShopImage(t)
	browser := webtest.Browser(t)
	am := alertmanagertest.Start(t)

	shop := &canaryScene{scene: newSceneIn(t, 4, "shop"), app: "checkout", log: &safeBuffer{}}
	shop.kubeconfig = os.Getenv("KUBECONFIG") // of the whole cluster
	data := os.Getenv("FAIRLEAD_SCREENSHOTS_DATA")
	if data == "" {
		data = t.TempDir()
	}
	shop.startWatched(am, node, "--kubeconfig", shop.kubeconfig, "--data", data)
	in := func(major int, namespace string) *scene {
		s := newSceneIn(t, major, namespace)
		s.env = shop.env
		return s
	}
	payments, platform := in(3, "payments"), in(4, "platform")
	startProcess(t, shop.base(), "agent", "--server", shop.otlp, "--data", t.TempDir(), "--own-namespace", "shop", "--cluster-name", "staging")
	shop.installCRDs()
	startProcess(t, shop.base(), "controller", "--kubeconfig", shop.kubeconfig, "--leader-namespace", "shop", "--server", shop.server,
		"--cluster-name", "staging", "--metrics", "0", "--health", "0", "--drain", "5s")

	phase := func(what string, teams ...func()) {
		began := time.Now()
		var wg sync.WaitGroup
		for _, team := range teams {
			wg.Go(team)
		}
		wg.Wait()
		t.Logf("%s: %s", what, time.Since(began).Round(time.Second))
	}
	phase("releases", func() {
		shop.baseline("catalog")
		shop.deploy(0, "upgrade", "catalog", "hook.enabled=true", "hook.after=25s", "replicas=0")
	}, func() {
		payments.failing("ledger")
		payments.deploy(0, "install", "gateway", "replicas=2")
		payments.deploy(0, "upgrade", "gateway", "replicas=2", "image=fairlead.test/app:v2")
	}, func() {
		for _, name := range []string{"dns", "ingress", "metrics"} {
			platform.deploy(0, "install", name)
			platform.deploy(0, "upgrade", name, "image=fairlead.test/slow-3s/app:v1")
		}
		platform.deploy(0, "upgrade", "dns", "image=fairlead.test/app:v3", "hook.enabled=true", "hook.after=2s")
	})
	am.Await(30*time.Second, "HelmDeploymentSlow", "HelmDeploymentsFailing", "HelmRollbackRateHigh")
	t.Logf("alerts:\n%s", shop.fairlead("alerts", "list").stdout)

	// Four services of the example application, each with a canary.
	header := "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + writerToken
	canary := func(app, steps string, faults ...string) *canaryScene {
		s := shop.named(app)
		s.openShop(header, "DEPLOYMENT_ENVIRONMENT=staging")
		s.apply(s.canaryRelease("  steps: " + steps + `
  deadline: 15m
  analysis: {scrapeInterval: 1s, window: 30s, history: 1m, errorsAbsent: zero}
`))
		s.users(100)
		s.await("the controller to see that there is nothing to do", time.Minute, func() bool { return s.get().Status.Reason == "NothingToDo" })
		s.apply(s.deployment(app+"-canary", "canary", "2.0.0", -1, append([]string{header, "DEPLOYMENT_ENVIRONMENT=staging"}, faults...)...))
		return s
	}
	var waits, gated *canaryScene
	phase("canaries", func() {
		s := canary("search", `[{weight: 5, gate: 25s}, {weight: 25, gate: 20s}, {weight: 50, gate: 30s}, {weight: 100}]`)
		s.awaitPhase("Succeeded", 6*time.Minute)
	}, func() {
		s := canary("checkout", `[{weight: 10, gate: 3m}, {weight: 50, gate: 1m}, {weight: 100}]`, "SHOP_FAULT_ROUTE=/checkout/order", "SHOP_FAULT_ERROR_RATE=0.6")
		s.awaitPhase("RolledBack", 6*time.Minute)
	}, func() {
		waits = canary("account", `[{weight: 25, gate: 20s}, {weight: 50, gate: 10s, approval: true}, {weight: 100}]`)
		waits.await("the step to wait for a person", 6*time.Minute, func() bool { return waits.get().Status.Reason == string(rollout.ReasonApproval) })
	})
	gated = canary("stores", `[{weight: 20, gate: 6m}, {weight: 50, gate: 6m}, {weight: 100}]`)
	gated.await("verdicts in the gate", 3*time.Minute, func() bool { v := gated.get().Status.Verdict; return v != nil && v.CanaryRequests > 300 })

	// The upgrade of the story: it fails, says why, and is rolled back, a minute
	// before the pictures. Another one runs while they are taken.
	phase("the failing upgrade", func() {
		if r := payments.fairlead("--progress", "none", "--auto-rollback", "helm", "upgrade", "gateway", appChart, "--wait", "--timeout", "20s",
			"--values", payments.file("values.yaml", "replicas: 2\nhook: {enabled: true}\nenv: {CRASH_AFTER: 0s, CRASH_MESSAGE: \"no database at db:5432\"}\n")); r.code != 1 {
			t.Errorf("exit code %d, want 1\n%s", r.code, r.stderr)
		}
	})
	running := platform.command(t.Context(), "--progress", "none", "helm", "upgrade", "ingress", appChart, "--wait", "--timeout", "10m", "--set", "hook.enabled=true,hook.after=9m")
	running.Stderr = shop.log
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Process.Signal(syscall.SIGTERM); _ = running.Wait() }()
	platform.started("ingress", 3)

	session := shop.visitor()
	session.post("/login", url.Values{"token": {writerToken}})
	at, err := url.Parse(shop.server)
	if err != nil {
		t.Fatal(err)
	}
	cookies := session.Jar.Cookies(at)
	if len(cookies) != 1 {
		t.Fatalf("cookies after the login: %v", cookies)
	}
	camera := webtest.NewCamera(browser, &network.CookieParam{Name: cookies[0].Name, Value: cookies[0].Value, URL: shop.server})
	failed := ""
	shop.await("the record of the failing upgrade", 30*time.Second, func() bool {
		list, err := (api.Client{Server: shop.server, Token: writerToken}).Operations(t.Context(), url.Values{"namespace": {"payments"}, "release": {"gateway"}})
		if err != nil {
			return false
		}
		for _, op := range list.Operations {
			if op.State == "failed" && op.Cause != "" {
				failed = op.ID
			}
		}
		return failed != ""
	})
	id := func(s *canaryScene) string { return "/canaries/" + url.PathEscape(s.get().Status.RolloutID) }
	of := func(app string) string { return id(shop.named(app)) }
	began := time.Now()
	if err := os.MkdirAll(filepath.Join(dir, "docs"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"overview": "/?range=15m", "releases": "/releases?range=15m", "release": "/releases/shop/catalog", "deployment": "/deployments/" + failed,
		"canaries": "/canaries", "canary-rolled-back": of("checkout"), "canary-promoted": of("search"), "canary-waiting": id(waits), "canary-in-gate": id(gated),
		"alerts": "/alerts", "health": "/health", "release-failing": "/releases/payments/gateway", "login": "/login",
	} {
		code, body := session.get(path)
		if code != 200 {
			t.Errorf("%s: %d", name, code)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := camera.ShootAll(dir, name, shop.server+path); err != nil {
			t.Error(err)
		}
	}
	// Those of the documentation: the upper part of a page.
	for file, v := range map[string]struct {
		path string
		webtest.View
	}{
		"overview.png":       {"/?range=15m", webtest.View{Width: 1100, Height: 1000, Theme: "dark"}},
		"releases.png":       {"/releases?range=15m", webtest.View{Width: 1280, Height: 1080, Theme: "light"}},
		"release.png":        {"/releases/shop/catalog", webtest.View{Width: 1100, Height: 760, Theme: "light"}},
		"deployment.png":     {"/deployments/" + failed, webtest.View{Width: 1100, Height: 1250, Theme: "light"}},
		"canary.png":         {of("checkout"), webtest.View{Width: 1280, Height: 1500, Theme: "light"}},
		"canary-waiting.png": {id(waits), webtest.View{Width: 1280, Height: 900, Theme: "dark"}},
		"canary-phone.png":   {of("checkout"), webtest.View{Width: 390, Height: 1300, Theme: "dark"}},
		"alerts.png":         {"/alerts", webtest.View{Width: 1100, Height: 760, Theme: "light"}},
		"health.png":         {"/health", webtest.View{Width: 1100, Height: 760, Theme: "dark"}},
	} {
		if err := camera.Shoot(filepath.Join(dir, "docs", file), shop.server+v.path, v.View); err != nil {
			t.Error(err)
		}
	}
	t.Logf("pictures: %s", time.Since(began).Round(time.Second))
	if text, err := exec.Command(os.Getenv("FAIRLEAD_TEST_KUBECTL"), "get", "canaryrelease", "-A", "-o", "wide").CombinedOutput(); err == nil {
		t.Logf("canaries:\n%s", text)
	}
	t.Logf("releases:\n%s", shop.fairlead("releases").stdout)
	// The judge's gauges come from a job that looks once.
	if r := shop.fairlead("canary", "analyze", "--service", "stores", "--canary-version", "2.0.0", "--stable-version", "1.0.0", "--weight", "20", "--age", "2m"); r.code == 1 {
		t.Errorf("canary analyze: %s%s", r.stdout, r.stderr)
	}
	shop.askDashboards()
}

// askDashboards checks that each panel and variable of the Grafana dashboards has
// something to show of the run: by the names of one preset at least, since the
// example application has those of one.
func (s *canaryScene) askDashboards() {
	s.t.Helper()
	var silent []string
	s.await("an answer for every panel of the dashboards", time.Minute, func() bool {
		answers, err := dashboardtest.Ask(s.t.Context(), s.server, s.token)
		if err != nil {
			s.t.Fatal(err)
		}
		answered := map[string]bool{}
		for _, a := range answers {
			answered[a.Where] = answered[a.Where] || !a.Empty
		}
		silent = nil
		for where, ok := range answered {
			if !ok {
				silent = append(silent, where)
			}
		}
		s.t.Logf("dashboards: %d queries of %d panels and variables; without an answer: %q", len(answers), len(answered), silent)
		return len(silent) == 0
	})
}
