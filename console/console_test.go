// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// The page as its user sees it: opened once, and never loaded again.
func TestPageFollowsTheRegistryByItself(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	console := startConsole(t, etcd.address())
	page := openTab(t, console.url)
	page.do(chromedp.Evaluate[chromedp.Void]("void (window.sameDocument = true)"))

	// There is no etcd yet.
	page.waitText("#link", "etcd does not answer")
	page.waitText("#empty", "Waiting for etcd at "+etcd.address())
	etcd.Start()
	page.waitText("#link", "connected")
	page.waitText("#empty", "No service in /dubbo yet")

	// A provider comes.
	reg := newRegistry(t, etcd.address())
	first, second := providerURL(t, "10.0.0.1", "20000"), providerURL(t, "10.0.0.2", "20000")
	require.NoError(t, reg.Register(first))
	page.waitText(".service", greeter)
	page.waitText("[data-category=providers]", "tri://10.0.0.1:20000")
	require.NoError(t, reg.Register(second))
	page.waitText("[data-category=providers]", "tri://10.0.0.2:20000")
	page.waitText("#count-providers", "2")

	// An override comes, as a script would write it.
	weighted := "/dubbo/" + greeter + "/configurators/" + url.QueryEscape(override("10.0.0.2:20000", "&weight=250"))
	etcd.put(weighted)
	page.waitText("[data-category=overrides]", "weight = 250")
	page.waitText("[data-category=providers]", "weight 250 (override)")
	etcd.delete(weighted)
	page.wait("!document.querySelector('[data-category=overrides]')")
	page.wait("!document.querySelector('[data-category=providers]').innerText.includes('250')")

	// A provider goes: it fades, and is gone.
	require.NoError(t, reg.UnRegister(first))
	page.wait("document.querySelector('tr.gone')?.innerText.includes('10.0.0.1')")
	page.wait("!document.querySelector('[data-category=providers]').innerText.includes('10.0.0.1')")
	page.waitText("#count-providers", "1")

	// etcd goes: what was there stays to be seen. etcd comes: what has changed is seen.
	etcd.Kill()
	page.waitText("#link", "etcd does not answer")
	page.waitText("#notice", "as it was last seen")
	page.waitText("[data-category=providers]", "10.0.0.2")
	etcd.Start()
	etcd.put("/dubbo/com.example.After/providers/" + url.QueryEscape("tri://10.0.0.3:20000/com.example.After?interface=com.example.After"))
	page.waitText("#link", "connected")
	page.waitText("[data-service='com.example.After']", "10.0.0.3")
	page.wait("document.querySelector('#notice').hidden")

	// The console goes, and comes.
	console.close()
	page.waitText("#link", "console does not answer")
	again, err := start(config{Target: target.Target{Address: etcd.address(), Group: "dubbo"}, addr: strings.Trim(console.url, "htp:/"), askEvery: 100 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(again.close)
	page.waitText("#link", "connected")
	require.NoError(t, reg.UnRegister(second))
	page.wait("!document.body.innerText.includes('10.0.0.2')")

	page.wait("window.sameDocument")
}

func TestWhateverIsRegisteredIsShownAsText(t *testing.T) {
	t.Parallel()
	const markup = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`
	etcd := newEtcd(t)
	etcd.Start()
	nasty := []string{
		markup,
		`"'><svg/onload=window.hit=1>`,
		`javascript:window.hit=1`,
		"\u202egnihtyreve sesrever",
		"line\nbreak\x00zero",
		"very" + string(make([]rune, 300)) + "long",
	}
	for i, value := range nasty {
		for category, scheme := range map[string]string{"providers": "tri", "consumers": "consumer", "configurators": "override", "routers": "condition"} {
			raw := fmt.Sprintf("%s://10.0.0.%d:20000/%[3]s?category=%[4]s&interface=%[3]s&application=%[3]s&group=%[3]s&version=%[3]s&weight=%[3]s&name=%[3]s&rule=%[3]s&%[3]s=%[3]s",
				scheme, i+1, url.QueryEscape(value), category)
			etcd.put("/dubbo/" + url.QueryEscape(value) + "/" + category + "/" + url.QueryEscape(raw))
		}
	}
	etcd.put("/dubbo/" + greeter + "/providers/" + url.QueryEscape(provider("10.9.9.9:20000", "&password=s3cr3t")))
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("#services", greeter)
	page.waitText("#services", markup)

	// Open the details of everything.
	for i := range page.number("document.querySelectorAll('.open').length") {
		page.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void document.querySelectorAll('.open')[%d].click()", i)))
		page.wait("document.querySelector('#detail').open")
		require.NotContains(t, page.text("#detail"), "s3cr3t")
		page.press(kb.Escape)
		page.wait("!document.querySelector('#detail').open")
	}
	page.wait("window.hit === undefined")
	page.wait("document.querySelectorAll('#services img, #services script, #services svg, #services a, #detail img').length === 0")

	for _, width := range []int64{320, 720, 1280} {
		page.do(chromedp.EmulateViewport(width, 700))
		require.LessOrEqual(t, page.number("document.documentElement.scrollWidth"), int(width), "the page is wider than the window")
	}
}

func TestPageIsUsedByKeyboard(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	putScene(etcd)
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("#count-services", "4")
	const shown = "[...document.querySelectorAll('.service:not([hidden]) h2')].map(e => e.textContent).join()"

	page.press("/")
	page.press("order billing")
	page.wait(shown + " === 'com.example.shop.OrderService'")
	page.waitText("#matches", "1 of 4 services")
	page.press(" no-such-thing")
	page.waitText("#empty", "Nothing matches")
	page.press(kb.Escape)
	page.wait("document.querySelectorAll('.service:not([hidden])').length === 4")

	// From the filter: two buttons, the first service, its history, its first provider.
	for range 5 {
		page.press(kb.Tab)
	}
	page.wait("document.activeElement.matches('.open')")
	page.press(kb.Enter)
	page.waitText("#detail h2", "tri://10.4.0.11:20000")
	page.waitText("#detail", "dubbo-golang-3.3.2")
	page.press(kb.Escape)
	page.wait("document.activeElement.matches('.open') && !document.querySelector('#detail').open")

	page.click("#attention")
	page.wait(shown + " === 'com.example.Greeter,com.example.shop.StockService'")
	page.click("#fold")
	page.wait("!document.querySelector('.service[open]:not([hidden])')")
	page.click("summary")
	page.wait("document.querySelectorAll('.service[open]').length === 1")

	// What is looked at goes meanwhile.
	page.click("[data-category=consumers] .open")
	etcd.deletePrefix("/dubbo/" + greeter + "/consumers/")
	page.waitText("#detail", "This consumer is gone")
	page.waitText("#detail", "frontend")
}

func TestConsoleEndsAtOnceWithPagesOpenAndWithoutEtcd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	require.NoError(t, err)
	defer l.Close()
	c, err := start(config{Target: target.Target{Address: l.Addr().String(), Group: "dubbo"}, addr: "127.0.0.1:0", askEvery: 100 * time.Millisecond})
	require.NoError(t, err)
	response, err := http.Get(c.url + "events")
	require.NoError(t, err)
	defer response.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	begin := time.Now()
	c.close()
	require.Less(t, time.Since(begin), 10*time.Second)
	_, err = io.Copy(io.Discard, response.Body) // it ends
	require.NoError(t, err)
}

func TestConsoleSaysWhatItCannotBeStartedWith(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = start(config{Target: target.Target{Address: "127.0.0.1:2379", Group: "dubbo"}, addr: l.Addr().String()})
	require.ErrorContains(t, err, l.Addr().String())

	_, err = start(config{Target: target.Target{Address: "127.0.0.1:port", Group: "dubbo"}, addr: "127.0.0.1:0"})
	require.ErrorContains(t, err, "127.0.0.1:port")
}

// newRegistry is one of a provider.
func newRegistry(t *testing.T, etcd string) registry.Registry {
	t.Helper()
	u := common.NewURLWithOptions(common.WithProtocol(etcdv3registry.Protocol))
	u.Location = etcd
	reg, err := extension.GetRegistry(etcdv3registry.Protocol, u)
	require.NoError(t, err)
	t.Cleanup(reg.Destroy)
	return reg
}

func providerURL(t *testing.T, ip, port string) *common.URL {
	t.Helper()
	u, err := common.NewURL(provider(net.JoinHostPort(ip, port), "&category=providers&application=greeter"))
	require.NoError(t, err)
	return u
}
