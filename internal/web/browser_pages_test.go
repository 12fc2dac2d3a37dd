package web_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fairlead.dev/fairlead/internal/config"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/rollout"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// TestBrowserFollows opens each page that follows what happens, lets something
// happen, and finds it there without a reload.
func TestBrowserFollows(t *testing.T) {
	ctx := browser(t)
	base, sender := start(t, func(c *config.Server) { c.Alerts.Interval = config.Duration(time.Second) })
	now := time.Now()
	op := func(uid, name string, revision int, state release.State) release.Operation {
		one := release.Operation{ID: release.DeployID(uid), Command: "upgrade", Kind: release.KindUpgrade, State: state, Cluster: "prod", Namespace: "shop", Release: name,
			Revision: revision, Start: now.Add(-20 * time.Second), Observers: []release.Observer{release.ObserverWrapper}}
		if state.Done() {
			one.End = now.Add(time.Duration(revision-20) * time.Second)
		}
		if state == release.StateFailed {
			one.Cause = "the database of " + name + " is away"
		}
		return one
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(sender.Operations(t.Context(), op("1", "web", 1, release.StateSucceeded), op("2", "web", 2, release.StateRunning)))
	traffic := webtest.Traffic{Service: "search", Canary: "8.1.0", Stable: "8.0.7", Start: now.Add(-5 * time.Minute), End: now}
	record := func(at time.Time, step int) {
		t.Helper()
		must(sender.Rollouts(t.Context(), traffic.Record("77-search-1", at, rollout.PhaseProgressing, step, rollout.DecisionContinue, "insufficient_data", nil)))
	}
	record(now.Add(-time.Minute), 0)
	var heard complaints
	heard.listen(ctx)
	for _, tc := range []struct {
		path, panel, text string
		happens           func()
	}{
		{"/", "running", "fresh", func() { must(sender.Operations(t.Context(), op("3", "fresh", 1, release.StateRunning))) }},
		{"/releases", "active", "newcomer", func() { must(sender.Operations(t.Context(), op("4", "newcomer", 1, release.StateSucceeded))) }},
		{"/releases/shop/web", "timeline", "the database of web is away", func() { must(sender.Operations(t.Context(), op("2", "web", 2, release.StateFailed))) }},
		{"/deployments/" + release.DeployID("3"), "verdict", "the database of fresh is away", func() { must(sender.Operations(t.Context(), op("3", "fresh", 1, release.StateFailed))) }},
		{"/canaries", "active", "25 %", func() { record(now.Add(-30*time.Second), 1) }},
		{"/canaries/77-search-1", "rail", "of 15 min", func() { record(now, 2) }},
		{"/alerts", "active", "4 deployments of shop/doomed", func() {
			for i := range 4 {
				must(sender.Operations(t.Context(), op(fmt.Sprint("doomed", i), "doomed", i+1, release.StateFailed)))
			}
		}},
	} {
		wait, cancel := context.WithTimeout(ctx, 40*time.Second)
		var before, after string
		var same bool
		err := chromedp.Run(wait, chromedp.Navigate(base+tc.path), chromedp.WaitVisible(`#live[data-state="on"]`, chromedp.ByQuery), chromedp.Evaluate(`window.mark = 1`, nil),
			chromedp.Evaluate(`document.getElementById("`+tc.panel+`")?.textContent ?? ""`, &before))
		if err != nil || strings.Contains(before, tc.text) {
			t.Fatalf("%s: %v; before: %s", tc.path, err, before)
		}
		tc.happens()
		err = chromedp.Run(wait, chromedp.Poll(fmt.Sprintf(`document.getElementById(%q)?.textContent.includes(%q)`, tc.panel, tc.text), nil, chromedp.WithPollingInterval(100*time.Millisecond)),
			chromedp.Evaluate(`window.mark === 1`, &same))
		if err != nil || !same {
			_ = chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("`+tc.panel+`")?.textContent ?? ""`, &after))
			t.Errorf("%s: panel %s did not come to say %q: %v, reloaded: %t; it says: %s", tc.path, tc.panel, tc.text, err, !same, after)
		}
		cancel()
	}
	for _, one := range heard.take() {
		t.Error("console: ", one)
	}
}

// TestBrowserWithoutJavaScript reads every page, opens details, filters, changes
// the colours, and turns pages without a script.
func TestBrowserWithoutJavaScript(t *testing.T) {
	ctx := browser(t)
	base, sender := start(t, nil)
	w := seed(t, base, sender)
	var heard complaints
	heard.listen(ctx)
	if err := chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(true)); err != nil {
		t.Fatal(err)
	}
	for name, path := range pagesOf(w) {
		var text string
		if err := chromedp.Run(ctx, chromedp.Navigate(base+path), chromedp.Text("main", &text, chromedp.ByQuery)); err != nil || len(text) < 100 {
			t.Errorf("%s: %v: %s", name, err, text)
		}
	}
	var at, shown string
	err := chromedp.Run(ctx, chromedp.Navigate(base+"/releases"), chromedp.SetValue(`select[name="namespace"]`, "payments", chromedp.ByQuery),
		chromedp.Click(`form[aria-label="What is shown"] button`, chromedp.ByQuery), chromedp.WaitReady(`//select[@name="namespace"]/option[@selected][.="payments"]`, chromedp.BySearch),
		chromedp.Location(&at), chromedp.Text("#active", &shown, chromedp.ByQuery))
	if err != nil || !strings.Contains(at, "namespace=payments") || strings.Contains(shown, "platform") {
		t.Errorf("the filter leads to %s: %v", at, err)
	}
	var open string
	var ok bool
	err = chromedp.Run(ctx, chromedp.Navigate(base+"/releases"), chromedp.Click("#frequency details summary", chromedp.ByQuery),
		chromedp.AttributeValue("#frequency details", "open", &open, &ok, chromedp.ByQuery))
	if err != nil || !ok {
		t.Errorf("the table below a chart does not open: %v", err)
	}
	if err := chromedp.Run(ctx, chromedp.Click(`form[action$="/theme"] button`, chromedp.ByQuery), chromedp.WaitReady(`html[data-theme="dark"]`, chromedp.ByQuery)); err != nil {
		t.Errorf("the colours do not change: %v", err)
	}
	for _, one := range heard.take() {
		t.Error("console: ", one)
	}
}

// TestBrowserBelowAPath opens pages behind a proxy that serves them below a path
// and cuts it off: styles and fonts come, links stay below it, the page follows.
func TestBrowserBelowAPath(t *testing.T) {
	base, sender := start(t, func(c *config.Server) { c.Listen.BasePath = "/ops/fairlead" })
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/ops/fairlead")
		r.Out.URL.RawPath = ""
	}})
	t.Cleanup(proxy.Close) // after the browser, whose stream it would wait for
	ctx := browser(t)
	w := seed(t, base, sender)
	var heard complaints
	heard.listen(ctx)
	for name, path := range pagesOf(w) {
		var font, at string
		err := chromedp.Run(ctx, chromedp.Navigate(proxy.URL+"/ops/fairlead"+path), chromedp.WaitReady("footer", chromedp.ByQuery),
			chromedp.Evaluate(`getComputedStyle(document.body).fontFamily`, &font),
			chromedp.Evaluate(`document.querySelector('nav a[href*="/health"]').href`, &at)) // with the page's cluster
		if err != nil || !strings.Contains(font, "Inter") || !strings.HasPrefix(at, proxy.URL+"/ops/fairlead/health") {
			t.Errorf("%s: %v, font %s, health at %s", name, err, font, at)
		}
	}
	err = chromedp.Run(ctx, chromedp.Navigate(proxy.URL+"/ops/fairlead/"), chromedp.WaitVisible(`#live[data-state="on"]`, chromedp.ByQuery),
		chromedp.Click(`nav a[href$="/health"]`, chromedp.ByQuery), chromedp.WaitReady("main.page-health", chromedp.ByQuery))
	if err != nil {
		t.Errorf("the page does not follow below the path, or a link leaves it: %v", err)
	}
	for _, one := range heard.take() {
		t.Error("console: ", one)
	}
}

// TestBrowserByKeyboard goes through each page with the Tab key: the first stop
// leads past the navigation, every stop is seen, and all that can be clicked is
// one.
func TestBrowserByKeyboard(t *testing.T) {
	ctx := browser(t)
	base, sender := start(t, nil)
	w := seed(t, base, sender)
	for name, path := range pagesOf(w) {
		var first string
		var missed, unseen []string
		err := chromedp.Run(ctx, chromedp.Navigate(base+path), chromedp.WaitReady("footer", chromedp.ByQuery), chromedp.KeyEvent(kb.Tab),
			chromedp.Evaluate(`document.activeElement.className`, &first),
			// What can be clicked and can be seen takes the focus.
			chromedp.Evaluate(`[...document.querySelectorAll("a[href], button, select, input:not([type=hidden]), summary, pre, .scroll")]
				.filter(e => e.getClientRects().length && !e.closest("details:not([open]) > :not(summary)"))
				.filter(e => { e.focus(); return document.activeElement !== e && e.scrollHeight >= 0; }).map(e => e.outerHTML.slice(0, 80))`, &missed))
		if err == nil {
			err = chromedp.Run(ctx, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`[...document.querySelectorAll("a[href], button, summary")].slice(0, 40)
				.filter(e => e.getClientRects().length).filter(e => { e.focus({focusVisible: true}); return getComputedStyle(e).outlineStyle === "none"; }).map(e => e.outerHTML.slice(0, 80))`, &unseen))
		}
		if err != nil || first != "skip" || len(missed) > 0 || len(unseen) > 0 {
			t.Errorf("%s: %v, first stop %q, without focus %q, focus not seen %q", name, err, first, missed, unseen)
		}
	}
	var focused string
	err := chromedp.Run(ctx, chromedp.Navigate(base+"/"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab),
		chromedp.Evaluate(`document.activeElement.closest("main") ? "main" : document.activeElement.outerHTML`, &focused))
	if err != nil || focused != "main" {
		t.Errorf("after the skip link the focus is at %s: %v", focused, err)
	}
}
