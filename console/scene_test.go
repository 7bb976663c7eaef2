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
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// With this variable a screenshot is taken into the file that it names, and
// others, of what else the page can look like, beside it:
//
//	CONSOLE_SCREENSHOT=/tmp/console.png go test -run TestScreenshot ./console
//
// Those in docs/ are made so, with the fonts Inter and JetBrains Mono where there are.
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
		page.awaitPaint()
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
	putApplications(etcd)
	page.waitText("#count-routers", "1")
	page.waitText("#count-instances", "4")
	page.do(chromedp.EmulateViewport(1180, 1500))
	take("")
	page.click("#views [data-view=application]")
	page.waitText("[data-application=orders] [data-category=instances]", "10.4.0.22")
	page.do(chromedp.EmulateViewport(1180, 1240))
	take("-applications")
	page.click("#views [data-view=service]")
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
	changeScene(etcd)
	page.click("#views [data-view=application]")
	page.waitText("[data-application=orders] summary", "1 instance")
	page.click("[data-application=orders] .history")
	page.wait("document.querySelectorAll('#history-list li').length > 6")
	take("-history")
	page.click("#history-close")
	page.click("#views [data-view=service]")
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

// putApplications registers the applications of putScene at application level, too.
func putApplications(e *etcdServer) {
	put := func(key, format string, args ...any) { testkit.Put(e.t, e.Client(), key, fmt.Sprintf(format, args...)) }
	const orders = "com.example.shop.OrderService"
	put("/dubbo/mapping/"+orders, "orders")
	put("/dubbo/mapping/com.example.Greeter", "greeter")
	put("/dubbo/mapping/com.example.legacy.Invoices", "invoices")
	put("/dubbo/orders/7d1f0c", `{"app":"orders","revision":"7d1f0c","services":{"eu/%s:2.1.0:tri":{"name":%[1]q,"group":"eu","version":"2.1.0","protocol":"tri","port":20000,"params":{"methods":"place,cancel,find"}}}}`, orders)
	put("/dubbo/orders/55aa01", `{"app":"orders","revision":"55aa01","services":{}}`)
	put("/dubbo/config/dubbo/orders.tag-router", "configVersion: v3.0\nforce: false\nenabled: true\nkey: orders\ntags: []\n")
	lease, err := e.Client().Grant(e.t.Context(), 600)
	require.NoError(e.t, err)
	for i, instance := range []struct{ application, host, more string }{
		{"orders", "10.4.0.21", `"dubbo.metadata.storage-type":"remote","dubbo.metadata.revision":"7d1f0c"`},
		{"orders", "10.4.0.22", `"dubbo.metadata.storage-type":"remote","dubbo.metadata.revision":"7d1f0c"`},
		{"greeter", "10.4.0.11", `"dubbo.metadata.storage-type":"local","dubbo.metadata.revision":"c03e11"`},
		{"greeter", "10.4.0.12", `"dubbo.metadata.storage-type":"remote","dubbo.metadata.revision":"c03e12"`},
	} {
		testkit.Put(e.t, e.Client(), "/services/"+instance.application+"/"+instance.host+":20000", fmt.Sprintf(
			`{"serviceName":%q,"host":%q,"port":20000,"metadata":{%s,"dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]","timestamp":"%d"}}`,
			instance.application, instance.host, instance.more, time.Now().Add(-time.Duration(26+i)*time.Hour).UnixMilli()), clientv3.WithLease(lease.ID))
	}
}

// changeScene has an instance of putApplications change, and another one go.
func changeScene(e *etcdServer) {
	const changed, gone = "/services/orders/10.4.0.21:20000", "/services/orders/10.4.0.22:20000"
	got, err := e.Client().Get(e.t.Context(), changed)
	require.NoError(e.t, err)
	value := strings.Replace(string(got.Kvs[0].Value), `"port":20000,`, `"port":20000,"weight":300,`, 1)
	testkit.Put(e.t, e.Client(), changed, value, clientv3.WithLease(clientv3.LeaseID(got.Kvs[0].Lease)))
	e.delete(gone)
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
