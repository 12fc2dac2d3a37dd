package webtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Browser starts a headless Chromium that ends with the test, or skips it and
// says so.
func Browser(t testing.TB) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: no chromium in PATH: `make chromium` installs it")
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

// Widths are those of a phone, a small and a wide screen.
var Widths = []int{390, 1024, 1600}

// Themes are the two that pages are drawn in.
var Themes = []string{"light", "dark"}

// View is how a page is looked at.
type View struct {
	Width, Height int // 0: as high as the page
	Theme         string
	Session       *network.CookieParam // the cookie to come with, nil for none
}

// Shoot writes a picture of the page at url. A tab that does not answer, which
// happens now and then beside other load, is given up for a new one.
func Shoot(ctx context.Context, file, url string, v View) (err error) {
	for range 3 {
		if err = shoot(ctx, file, url, v); err == nil {
			return nil
		}
	}
	return err
}

func shoot(ctx context.Context, file, url string, v View) error {
	tab, cancel := chromedp.NewContext(ctx)
	defer cancel()
	tab, cancel = context.WithTimeout(tab, 30*time.Second)
	defer cancel()
	height, take := v.Height, chromedp.CaptureScreenshot
	if height == 0 {
		height = 900
		take = func(to *[]byte) chromedp.Action { return chromedp.FullScreenshot(to, 100) }
	}
	var picture []byte
	err := chromedp.Run(tab, chromedp.ActionFunc(func(ctx context.Context) error {
		if v.Session == nil {
			return nil
		}
		return network.SetCookies([]*network.CookieParam{v.Session}).Do(ctx)
	}), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.Theme}}),
		chromedp.EmulateViewport(int64(v.Width), int64(height)), chromedp.Navigate(url),
		chromedp.WaitReady("footer", chromedp.ByQuery), chromedp.Sleep(200*time.Millisecond), // for the font
		take(&picture))
	if err != nil {
		return fmt.Errorf("picture of %s: %w", url, err)
	}
	return os.WriteFile(file, picture, 0o600)
}

// ShootAll writes a picture of the page for each of Widths and Themes into dir,
// as name-width-theme.png.
func ShootAll(ctx context.Context, dir, name, url string, session *network.CookieParam) error {
	for _, width := range Widths {
		for _, theme := range Themes {
			if err := Shoot(ctx, filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), url, View{Width: width, Theme: theme, Session: session}); err != nil {
				return err
			}
		}
	}
	return nil
}
