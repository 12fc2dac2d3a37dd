package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium, or skips and says so.
func browser(t testing.TB) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium in PATH: `make chromium` installs it")
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(time.Minute))...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// TestScreenshots writes pictures of the pages into FAIRLEAD_SCREENSHOTS (make
// screenshots), of one page alone if FAIRLEAD_SCREENSHOTS_ONLY names it.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("FAIRLEAD_SCREENSHOTS")
	if dir == "" {
		t.Skip("FAIRLEAD_SCREENSHOTS names no directory")
	}
	base, sender := start(t, nil)
	w := seed(t, base, sender)
	ctx := browser(t)
	for name, path := range pagesOf(w) {
		if only := os.Getenv("FAIRLEAD_SCREENSHOTS_ONLY"); only != "" && only != name {
			continue
		}
		for _, width := range []int{390, 1024, 1600} {
			for _, theme := range []string{"light", "dark"} {
				var picture []byte
				tab, cancel := chromedp.NewContext(ctx)
				err := chromedp.Run(tab, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
					chromedp.EmulateViewport(int64(width), 900), chromedp.Navigate(base+path), chromedp.Sleep(300*time.Millisecond), chromedp.FullScreenshot(&picture, 100))
				cancel()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme))
				if err := os.WriteFile(file, picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// pagesOf are the addresses of the pages, by name.
func pagesOf(w world) map[string]string {
	return map[string]string{
		"overview": "/", "releases": "/releases", "release": "/releases/shop/checkout?cluster=prod-eu", "deployment": "/deployments/" + w.failing.ID,
		"canaries": "/canaries", "canary": "/canaries/" + w.bad.ID, "canary-running": "/canaries/" + w.run.ID, "alerts": "/alerts", "health": "/health",
	}
}
