// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With this variable, the path of axe.min.js of the npm package axe-core (MPL-2.0, so
// that it is not here), axe-core looks for what keeps people from using the page:
//
//	npm pack axe-core && tar xzf axe-core-*.tgz
//	CONSOLE_AXE=$PWD/package/axe.min.js go test -run TestAxe ./console
const axeVariable = "CONSOLE_AXE"

func TestAxeFindsNothing(t *testing.T) {
	path := os.Getenv(axeVariable)
	if path == "" {
		t.Skip(axeVariable + " does not name axe.min.js of axe-core")
	}
	axe, err := os.ReadFile(path)
	require.NoError(t, err)
	etcd := newEtcd(t)
	etcd.Start()
	console, _ := startWriting(t, etcd)
	page := openTab(t, console.url)
	page.waitText("#empty", "No service")
	page.do(chromedp.Evaluate[chromedp.Void](string(axe) + ";void 0"))
	look := func(what string) {
		t.Helper()
		page.do(chromedp.Evaluate[chromedp.Void](`window.found = null; void axe.run(document).then(r => {
			window.found = r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.target.join(' ')).join(', ')).join('\n') }, e => { window.found = String(e) })`))
		page.wait("window.found !== null")
		found, err := chromedp.Run(page.ctx, chromedp.Evaluate[string]("window.found"))
		require.NoError(t, err)
		assert.Empty(t, found, what)
	}
	for _, scheme := range []string{"light", "dark"} {
		page.media(scheme)
		look("an empty page, " + scheme)
	}
	putScene(etcd)
	putApplications(etcd)
	etcd.put("/dubbo/" + greeter + "/providers/nonsense")
	page.waitText("#count-instances", "4")
	page.waitText("#problems", "cannot be read")
	for _, scheme := range []string{"light", "dark"} {
		page.media(scheme)
		for _, view := range []string{"application", "rules", "service"} {
			page.click(fmt.Sprintf("#views [data-view=%s]", view))
			look(view + ", " + scheme)
		}
		page.click(".service .history")
		page.wait("document.querySelectorAll('#history-list li').length > 0")
		look("a history, " + scheme)
		page.click("#history-close")
		page.click("[data-category=providers] .open")
		page.click("[data-do=weight]")
		look("a form, " + scheme)
		page.click("[data-do=out]")
		page.wait("document.querySelector('.actions .confirm, .actions [role=alert]')")
		look("a command, " + scheme)
		page.click("#detail-close")
	}
}
