// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// browserVariable, set to "required", has tests fail that would be skipped on a
// machine without Chromium.
const browserVariable = "CONSOLE_BROWSER"

// tab is a page in a headless Chromium.
type tab struct {
	t     *testing.T
	ctx   context.Context
	limit time.Duration // of what it waits for

	mu     sync.Mutex
	errors []string // what went wrong in the page, guarded by mu
}

// openTab opens a page. The test fails if something goes wrong in it, be it
// that the page breaks its own Content-Security-Policy.
func openTab(t *testing.T, url string) *tab {
	t.Helper()
	timed, cancel := context.WithTimeout(context.Background(), 10*patience)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(timed, chromedp.WithAllocatorOptions(
		chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, // containers have none to offer, and the page is ours
	))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, limit: patience}
	t.Cleanup(func() {
		b.requireNoErrors()
		require.NoError(t, chromedp.Cancel(ctx))
	})
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	b.do(chromedp.EmulateViewport(1280, 800))
	b.do(chromedp.Navigate(url))
	return b
}

func chromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv(browserVariable) == "required" {
		t.Fatalf("none of %v is in the PATH, and %s=required (Debian: apt-get install chromium)", names, browserVariable)
	}
	t.Skipf("none of %v is in the PATH", names)
	return ""
}

func (b *tab) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Source == "network" || e.Entry.Level != "error" {
			return // that a console is away is not the page's error
		}
		text = e.Entry.Text
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, text)
}

func (b *tab) requireNoErrors() {
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.errors, "errors in the page")
}

func (b *tab) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, action))
}

// wait waits until an expression is true in the page.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for begin := time.Now(); ; time.Sleep(poll) {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		require.NoError(b.t, err, expression)
		if is {
			return
		}
		if time.Since(begin) > b.limit {
			b.t.Fatalf("after %v the page does not have: %s\nIts text is:\n%s", b.limit, expression, b.text("body"))
		}
	}
}

// awaitPaint waits until the browser has painted what there is.
func (b *tab) awaitPaint() {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("painted = false, requestAnimationFrame(() => requestAnimationFrame(() => painted = true)), true"))
	require.NoError(b.t, err)
	b.wait("painted")
}

// text is the visible text of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector)))
	require.NoError(b.t, err)
	return text
}

// waitText waits until an element has a text in it.
func (b *tab) waitText(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

// number is what a JavaScript expression comes to.
func (b *tab) number(expression string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression))
	require.NoError(b.t, err)
	return n
}

// click clicks what a user sees at the middle of the first element of a selector, once
// that is the element or a part of it. It looks and clicks in one step of the page:
// the browser's own clicks go where an element was, and pages grow meanwhile.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`(wanted => {
		if (!wanted?.checkVisibility()) return false;
		wanted.scrollIntoView({ block: 'center', behavior: 'instant' });
		const { left, top, width, height } = wanted.getBoundingClientRect();
		const seen = document.elementFromPoint(left + width / 2, top + height / 2);
		if (!seen || !wanted.contains(seen)) return false;
		seen.closest('button, a, summary, input, select, textarea, [tabindex]')?.focus();
		seen.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, view: window, detail: 1 }));
		return true;
	})(document.querySelector(%q))`, selector))
}

// press types as a keyboard does: a key that the page takes for itself writes
// no character.
func (b *tab) press(keys string) {
	b.t.Helper()
	for _, r := range keys {
		for _, event := range kb.Encode(r) {
			switch {
			case event.Type == kb.KeyChar: // comes of the key
				continue
			case event.Type == kb.KeyDown && kb.Keys[r] != nil:
				event.Text = kb.Keys[r].Text
			}
			_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, *event)
			require.NoError(b.t, err)
		}
	}
}

// media sets what the page is told by media queries: light or dark, and
// whether motion is to be reduced.
func (b *tab) media(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	require.NoError(b.t, err)
}
