// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// With this variable a screenshot is taken into the file that it names, and
// others, of what else the page can look like, beside it:
//
//	CONSOLE_SCREENSHOT=/tmp/console.png go test -run TestScreenshot ./console
//
// The one in the README is made so, with the fonts Inter and JetBrains Mono.
const screenshotVariable = "CONSOLE_SCREENSHOT"

func TestScreenshot(t *testing.T) {
	path := os.Getenv(screenshotVariable)
	if path == "" {
		t.Skip(screenshotVariable + " names no file")
	}
	etcd := newEtcd(t)
	page := openTab(t, startConsole(t, etcd.address()).url)
	take := func(suffix string) {
		t.Helper()
		time.Sleep(500 * time.Millisecond) // the browser paints
		png, err := chromedp.Run(page.ctx, chromedp.CaptureScreenshot())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(strings.TrimSuffix(path, ".png")+suffix+".png", png, 0o600))
	}

	page.media("light")
	page.waitText("#empty", "Waiting for etcd")
	take("-waiting")
	etcd.Start()
	page.waitText("#empty", "No service")
	take("-empty")

	putScene(etcd)
	page.waitText("#count-routers", "1")
	page.do(chromedp.EmulateViewport(1180, 1210))
	take("")
	page.media("dark")
	take("-dark")
	page.click("[data-category=providers] tr.disabled button")
	take("-detail-dark")
	page.click("#detail-close")
	page.media("light")
	page.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)))
	take("-narrow")
	page.click(".open")
	take("-narrow-detail")
	page.click("#detail-close")
	page.do(chromedp.EmulateViewport(1180, 860))
	etcd.Kill()
	page.waitText("#notice", "as it was last seen")
	take("-away")
}

// putScene registers some of everything, as a company might have it.
func putScene(e *etcdServer) {
	since := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(-d).UnixMilli()) }
	const greeter, orders, stock, audit = "com.example.Greeter", "com.example.shop.OrderService", "com.example.shop.StockService", "com.example.ops.AuditLog"
	for _, entry := range []struct{ service, category, url string }{
		{greeter, "providers", "tri://10.4.0.11:20000/" + greeter + "?application=greeter&interface=" + greeter + "&methods=Greet&side=provider&release=dubbo-golang-3.3.2&serialization=protobuf&timestamp=" + since(26*time.Hour)},
		{greeter, "providers", "tri://10.4.0.12:20000/" + greeter + "?application=greeter&interface=" + greeter + "&methods=Greet&side=provider&release=dubbo-golang-3.3.2&serialization=protobuf&timestamp=" + since(26*time.Hour+4*time.Minute)},
		{greeter, "providers", "tri://10.4.0.13:20000/" + greeter + "?application=greeter&interface=" + greeter + "&methods=Greet&side=provider&release=dubbo-golang-3.3.2&serialization=protobuf&token=8f14e45f&timestamp=" + since(7*time.Minute)},
		{greeter, "consumers", "consumer://10.4.1.30/" + greeter + "?application=frontend&category=consumers&interface=" + greeter + "&side=consumer&timestamp=" + since(3*time.Hour)},
		{greeter, "configurators", "override://10.4.0.12:20000/" + greeter + "?category=configurators&dynamic=false&interface=" + greeter + "&weight=300"},
		{greeter, "configurators", "override://10.4.0.13:20000/" + greeter + "?category=configurators&dynamic=false&interface=" + greeter + "&disabled=true"},
		{orders, "providers", "dubbo://10.4.0.21:20880/" + orders + "?application=orders&group=eu&version=2.1.0&interface=" + orders + "&methods=place,cancel,find&side=provider&release=3.2.0&timestamp=" + since(49*time.Hour)},
		{orders, "providers", "dubbo://10.4.0.22:20880/" + orders + "?application=orders&group=eu&version=2.1.0&interface=" + orders + "&methods=place,cancel,find&side=provider&release=3.2.0&timestamp=" + since(49*time.Hour)},
		{orders, "consumers", "consumer://10.4.1.30/" + orders + "?application=frontend&category=consumers&group=eu&version=2.1.0&interface=" + orders + "&side=consumer&timestamp=" + since(3*time.Hour)},
		{orders, "consumers", "consumer://10.4.1.44/" + orders + "?application=billing&category=consumers&group=eu&version=2.1.0&interface=" + orders + "&side=consumer&timestamp=" + since(12*24*time.Hour)},
		{orders, "routers", "condition://0.0.0.0/" + orders + "?category=routers&dynamic=false&group=eu&version=2.1.0&interface=" + orders + "&name=billing-near&force=true&rule=" + url.QueryEscape("application = billing => host = 10.4.0.21")},
		{stock, "consumers", "consumer://10.4.0.21/" + stock + "?application=orders&category=consumers&interface=" + stock + "&side=consumer&timestamp=" + since(49*time.Hour)},
		{audit, "providers", "tri://10.4.0.51:20000/" + audit + "?application=audit&interface=" + audit + "&dynamic=false&methods=Append&side=provider&timestamp=" + since(95*24*time.Hour)},
	} {
		e.put("/dubbo/" + entry.service + "/" + entry.category + "/" + url.QueryEscape(entry.url))
	}
}

// configOf is that of a console in a test.
func configOf(etcd string) config {
	return config{Target: target.Target{Address: etcd, Group: "dubbo"}, addr: "127.0.0.1:0", askEvery: 100 * time.Millisecond}
}

// startConsole starts one that ends with the test.
func startConsole(t *testing.T, etcd string) *console {
	t.Helper()
	c, err := start(configOf(etcd))
	require.NoError(t, err)
	t.Cleanup(c.close)
	return c
}
