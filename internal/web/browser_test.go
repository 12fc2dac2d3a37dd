package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/web/webtest"
)

// complaints are what the browser's console says in a tab.
type complaints struct {
	mu   sync.Mutex
	said []string
}

func (c *complaints) listen(ctx context.Context) {
	chromedp.ListenTarget(ctx, func(ev any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch ev := ev.(type) {
		case *log.EventEntryAdded: // content security policy, failed requests
			if ev.Entry.Level == log.LevelError || ev.Entry.Level == log.LevelWarning {
				c.said = append(c.said, ev.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			c.said = append(c.said, ev.ExceptionDetails.Error())
		}
	})
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.said
	c.said = nil
	return said
}

// browser is a Chromium that a test may hold for four minutes.
func browser(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(webtest.Browser(t), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestBrowser opens every page in a real browser, in both themes: nothing is
// refused or thrown, axe finds nothing, and nothing is wider than a phone.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	base, sender := start(t, nil)
	w := seed(t, base, sender)
	var heard complaints
	heard.listen(ctx)
	for name, path := range pagesOf(w) {
		for _, theme := range []string{"light", "dark"} {
			var found string
			var overflow int
			err := chromedp.Run(ctx,
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
				chromedp.EmulateViewport(390, 844), chromedp.Navigate(base+path),
				chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &overflow),
				chromedp.EmulateViewport(1280, 900),
				chromedp.Evaluate(string(axe)+";1", nil),
				chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map(n => n.html.slice(0, 160) + " :: " + n.failureSummary)}))))`, &found,
					func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
			)
			if err != nil {
				t.Fatalf("%s %s: %v", name, theme, err)
			}
			if overflow > 0 {
				t.Errorf("%s: %d pixels wider than a phone", name, overflow)
			}
			var violations []struct {
				ID, Help string
				Nodes    []string
			}
			if err := json.Unmarshal([]byte(found), &violations); err != nil {
				t.Fatal(err)
			}
			for _, v := range violations {
				t.Errorf("%s %s: axe: %s: %s\n  %s", name, theme, v.ID, v.Help, strings.Join(v.Nodes, "\n  "))
			}
			for _, one := range heard.take() {
				t.Errorf("%s %s: console: %s", name, theme, one)
			}
		}
	}

	// What happens while a page is open shows without a reload.
	err = chromedp.Run(ctx, chromedp.Navigate(base+"/"), chromedp.WaitVisible(`#live[data-state="on"]`, chromedp.ByQuery), chromedp.Evaluate(`window.mark = 1`, nil))
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Operations(t.Context(), release.Operation{ID: release.DeployID("fresh"), Command: "install", Kind: release.KindInstall, State: release.StateRunning,
		Cluster: "prod-eu", Namespace: "shop", Release: "newcomer", Revision: 1, Start: time.Now(), Observers: []release.Observer{release.ObserverAgent}})
	if err != nil {
		t.Fatal(err)
	}
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var same bool
	if err := chromedp.Run(wait, chromedp.Poll(`document.getElementById("running").textContent.includes("newcomer")`, nil), chromedp.Evaluate(`window.mark === 1`, &same)); err != nil || !same {
		t.Errorf("the page did not follow: %v, reloaded: %t", err, !same)
	}
	// The button changes the colours, and that lasts.
	var dark string
	err = chromedp.Run(ctx, chromedp.Click(`form[action$="/theme"] button`, chromedp.ByQuery), chromedp.WaitReady(`html[data-theme="dark"]`, chromedp.ByQuery),
		chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &dark))
	if err != nil || dark != "rgb(15, 18, 21)" {
		t.Errorf("after the button the background is %s, %v", dark, err)
	}
	// Details open and shut by keyboard.
	var open bool
	err = chromedp.Run(ctx, chromedp.Navigate(base+"/deployments/"+w.failing.ID), chromedp.Focus(".wf summary", chromedp.ByQuery), chromedp.KeyEvent("\r"),
		chromedp.Evaluate(`document.querySelector(".wf details").open`, &open))
	if err != nil || open {
		t.Errorf("enter on the first span leaves it open: %t, %v", open, err)
	}
	for _, one := range heard.take() {
		t.Error(fmt.Sprint("console: ", one))
	}
}

// pagesOf are the addresses of the pages, by name.
func pagesOf(w world) map[string]string {
	return map[string]string{
		"overview": "/", "releases": "/releases", "release": "/releases/shop/checkout?cluster=prod-eu", "deployment": "/deployments/" + w.failing.ID,
		"canaries": "/canaries", "canary": "/canaries/" + w.bad.ID, "canary-running": "/canaries/" + w.run.ID, "alerts": "/alerts", "health": "/health",
	}
}
