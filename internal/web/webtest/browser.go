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
	"github.com/chromedp/cdproto/page"
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
}

// answerTime is what a tab has for a picture: some seconds, on a machine that runs
// a cluster too.
const answerTime = 30 * time.Second

// Camera takes pictures of pages, all in one tab.
type Camera struct {
	browser, tab context.Context
	close        context.CancelFunc
	session      *network.CookieParam
}

// NewCamera is a camera in the browser of ctx that comes with the cookie session,
// nil for none.
func NewCamera(ctx context.Context, session *network.CookieParam) *Camera {
	return &Camera{browser: ctx, session: session}
}

// Shoot writes a picture of the page at url. A tab that does not answer in half a
// minute is given up for a new one, twice.
func (c *Camera) Shoot(file, url string, v View) error {
	var picture []byte
	var err error
	for range 3 {
		if picture, err = c.shoot(url, v); err == nil {
			return os.WriteFile(file, picture, 0o600)
		}
		c.Close()
	}
	return fmt.Errorf("picture of %s: %w", url, err)
}

// ShootAll writes a picture of the page for each of Widths and Themes into dir,
// as name-width-theme.png.
func (c *Camera) ShootAll(dir, name, url string) error {
	for _, width := range Widths {
		for _, theme := range Themes {
			if err := c.Shoot(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), url, View{Width: width, Theme: theme}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close gives the camera's tab back; the next picture opens another.
func (c *Camera) Close() {
	if c.close != nil {
		c.close()
	}
	c.tab, c.close = nil, nil
}

func (c *Camera) shoot(url string, v View) ([]byte, error) {
	if c.tab == nil {
		c.tab, c.close = chromedp.NewContext(c.browser)
		// The first run binds the tab's life to its context: not to one that times out.
		late := time.AfterFunc(answerTime, c.close)
		defer late.Stop()
		err := chromedp.Run(c.tab, chromedp.ActionFunc(func(ctx context.Context) error {
			if c.session == nil {
				return nil
			}
			return network.SetCookies([]*network.CookieParam{c.session}).Do(ctx)
		}))
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(c.tab, answerTime)
	defer cancel()
	height := v.Height
	if height == 0 {
		height = 900
	}
	var picture []byte
	var whole int64 // the page's height
	// A tab behind another one draws no frames, and its picture would never be done.
	err := chromedp.Run(ctx, page.BringToFront(), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.Theme}}),
		chromedp.EmulateViewport(int64(v.Width), int64(height)), chromedp.Navigate(url),
		chromedp.WaitReady("footer", chromedp.ByQuery), chromedp.Evaluate(`document.documentElement.scrollHeight`, &whole),
		chromedp.ActionFunc(func(ctx context.Context) error {
			if v.Height > 0 {
				return nil
			}
			return chromedp.EmulateViewport(int64(v.Width), whole).Do(ctx)
		}), chromedp.Sleep(200*time.Millisecond), // for the font
		chromedp.CaptureScreenshot(&picture))
	return picture, err
}
