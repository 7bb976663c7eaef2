// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// An application registers itself with the extensions of the registry, as dubbo-go has
// them do it.
func TestPageFollowsTheApplicationLevel(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("#empty", "No service")

	report := testkit.OpenReport(t, etcd.address())
	discovery := testkit.NewDiscovery(t, etcd.address())
	meta := info.NewMetadataInfoWithParams("shop", "r1", map[string]*info.ServiceInfo{
		"com.example.Orders:tri": info.NewServiceInfo("com.example.Orders", "eu", "2.0", "tri", "com.example.Orders", map[string]string{"methods": "place,find"}),
	})
	require.NoError(t, report.RegisterServiceAppMapping("com.example.Orders", "mapping", "shop"))
	page.waitText("#problems", "names the application shop, which has no instance")
	require.NoError(t, report.PublishAppMetadata("shop", "r1", meta))
	shop := &registry.DefaultServiceInstance{
		ServiceName: "shop", Host: "10.0.0.1", Port: 20000, Enable: true, Healthy: true, Tag: "canary",
		Metadata: map[string]string{
			"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote",
			"dubbo.endpoints": `[{"port":20000,"protocol":"tri"}]`, "password": "s3cr3t", "zone": "east",
		},
	}
	require.NoError(t, discovery.Register(shop))

	// Beside each other: the service, and the application that serves it.
	page.wait("document.querySelector('#problems').hidden")
	page.waitText("[data-service='com.example.Orders'] [data-category=applications]", "shop")
	page.waitText("[data-service='com.example.Orders'] [data-category=applications]", "1 instance")
	page.waitText("[data-service='com.example.Orders'] [data-category=applications]", "2.0")
	require.NotContains(t, page.text("[data-service='com.example.Orders'] summary"), "no provider")
	page.waitText("#count-instances", "1")

	page.click("#views [data-view=application]")
	page.waitText("[data-application=shop] [data-category=instances]", "10.0.0.1:20000")
	page.waitText("[data-application=shop] [data-category=instances]", "tri:20000")
	page.waitText("[data-application=shop] [data-category=instances]", "tag canary")
	page.waitText("[data-application=shop] [data-category=serves]", "com.example.Orders")
	page.click("[data-category=instances] .open")
	page.waitText("#detail", "zone")
	page.waitText("#detail", "Lease")
	require.NotContains(t, page.text("#detail"), "s3cr3t")
	page.press(kb.Escape)
	page.click("[data-category=revisions] .open")
	page.waitText("#detail", "place,find")
	page.press(kb.Escape)

	// Its metadata goes, and who would put it there again: nobody can call it.
	require.NoError(t, report.(io.Closer).Close())
	etcd.delete("/dubbo/shop/r1")
	page.waitText("#problems", "of which etcd has no metadata")
	page.waitText("[data-application=shop] [data-category=instances]", "etcd has no metadata of its revision")
	page.waitText("#note-instances", "1 without metadata")

	// It goes, and what is left of it is told.
	require.NoError(t, discovery.Unregister(shop))
	page.waitText("#problems", "names the application shop, which has no instance")
	page.click("#problems .go")
	page.wait("document.querySelector('#views [data-view=service]').getAttribute('aria-pressed') === 'true'")
	page.waitText("[data-service='com.example.Orders'] [data-category=applications]", "no instance")
	page.waitText("[data-service='com.example.Orders'] summary", "no provider")

	// Rules of the configuration center.
	testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/shop.tag-router", "tags: []")
	page.click("#views [data-view=rules]")
	page.waitText("[data-rules=dubbo]", "shop.tag-router")
}

func TestProblemsAreShownFirst(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	put := func(raw, category string) {
		etcd.put("/dubbo/" + greeter + "/" + category + "/" + url.QueryEscape(raw))
	}
	put(provider("10.0.0.1:20000", "&group=blue&timestamp=1"), "providers")
	put(provider("10.0.0.1:20000", "&group=blue&timestamp=2"), "providers")
	put(consumer("10.0.1.1"), "consumers")
	etcd.put("/dubbo/" + greeter + "/providers/nonsense%3Fpassword%3Ds3cr3t")
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("#problems", "3 problems")
	page.waitText("#problems", "matches no provider of "+greeter+": it wants group (none), they have blue")
	page.waitText("#problems", "is registered 2 times at tri://10.0.0.1:20000")
	page.waitText("#problems", "this provider cannot be read")
	require.NotContains(t, page.text("#problems"), "s3cr3t")
	page.click("#attention")
	page.wait("document.querySelectorAll('.service:not([hidden])').length === 1")
}

func TestAPrefixThatMayNotBeReadIsToldOf(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	testkit.EnableAuth(t, etcd.Server, "console", "/dubbo/")
	c := configOf(etcd.address())
	c.Username, c.Password = "console", testkit.Password
	console, err := start(c)
	require.NoError(t, err)
	t.Cleanup(console.close)
	page := openTab(t, console.url)
	page.waitText("#notice", "etcd refuses to have /services/ read")
}

// A thousand services and ten thousand instances: the page makes what is to be seen.
func TestPageStaysUsableWithAThousandServices(t *testing.T) {
	t.Parallel()
	const services, each, instances = 1000, 10, 10000
	etcd := newEtcd(t)
	etcd.Start()
	putMany(t, etcd, services, each, instances)
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.limit = 4 * patience // of a machine that is busy with other tests
	page.waitText("#count-providers", fmt.Sprint(services*each))
	page.waitText("#count-instances", fmt.Sprint(instances))
	page.wait("document.querySelectorAll('tbody tr').length === 0") // all are folded

	page.press("/")
	begin := time.Now()
	page.press("service0777")
	page.waitText("#matches", "1 of 1000 services")
	page.waitText("[data-category=providers]", "tri://10.1.")
	t.Logf("filtered to one of %d services in %v", services, time.Since(begin))
	page.press(kb.Escape)

	page.click("#views [data-view=application]")
	begin = time.Now()
	page.waitText("[data-application=fleet] [data-category=instances]", "10.0.00.000:20000")
	t.Logf("the first of %d instances is shown after %v", instances, time.Since(begin))
	require.Less(t, page.number("document.querySelectorAll('tbody tr').length"), 300)
	require.Equal(t, instances+1, page.number("Number(document.querySelector('[data-category=instances]').getAttribute('aria-rowcount'))"))
	begin = time.Now()
	page.do(chromedp.Evaluate[chromedp.Void]("void document.querySelector('[data-category=instances]').scrollIntoView({block: 'end'})"))
	page.waitText("[data-application=fleet] [data-category=instances]", "10.0.39.249:20000")
	t.Logf("the last is shown %v after scrolling", time.Since(begin))
	require.NotContains(t, page.text("[data-category=instances]"), "10.0.00.000:20000")

	// A change arrives.
	begin = time.Now()
	etcd.delete("/services/fleet/10.0.39.249:20000")
	page.wait("!document.querySelector('[data-category=instances]').innerText.includes('10.0.39.249:20000')")
	page.waitText("#count-instances", fmt.Sprint(instances-1))
	t.Logf("a change is shown after %v", time.Since(begin))
}

// putMany puts services with providers, and an application with instances.
func putMany(t *testing.T, etcd *etcdServer, services, each, instances int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var ops []clientv3.Op
	flush := func() {
		_, err := etcd.Client().Txn(ctx).Then(ops...).Commit()
		require.NoError(t, err)
		ops = nil
	}
	put := func(key, value string) {
		if ops = append(ops, clientv3.OpPut(key, value)); len(ops) == 128 {
			flush()
		}
	}
	for i := range services {
		name := fmt.Sprintf("com.example.Service%04d", i)
		for j := range each {
			raw := fmt.Sprintf("tri://10.%d.%d.%d:20000/%s?application=fleet&interface=%[4]s&methods=Greet,Wave&side=provider&release=dubbo-golang-3.3.2&timestamp=1700000000", 1+j, i/100, i%100, name)
			put("/dubbo/"+name+"/providers/"+url.QueryEscape(raw), "")
		}
	}
	for i := range instances {
		address := fmt.Sprintf("10.0.%02d.%03d", i/250, i%250) // in the order of their names
		put("/services/fleet/"+address+":20000", fmt.Sprintf(`{"serviceName":"fleet","host":%q,"port":20000,"metadata":{"dubbo.metadata.revision":"r1","dubbo.endpoints":"[{\"port\":20000,\"protocol\":\"tri\"}]","timestamp":"1700000000000"}}`, address))
	}
	if len(ops) > 0 {
		flush()
	}
}
