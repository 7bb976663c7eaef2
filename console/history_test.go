// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestTheHistoryOfAServiceIsShownWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	put := func(category, raw string) string {
		key := "/dubbo/" + greeter + "/" + category + "/" + url.QueryEscape(raw)
		etcd.put(key)
		return key
	}
	put("providers", provider("10.0.0.1:20000", "&application=shop&password=s3cr3t&category=providers"))
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("[data-category=providers]", "10.0.0.1:20000")
	page.wait("!document.querySelector('#history').open")
	page.wait("performance.getEntriesByType('resource').every(e => !e.name.includes('history?'))")

	page.click(".service .history")
	page.waitText("#history-title", greeter)
	page.waitText("#history-status", "1 change")
	page.waitText("#history-list li", "before")
	page.waitText("#history-list li", "registered")
	page.waitText("#history-list li", "tri://10.0.0.1:20000")
	page.waitText("#history-known", "that is all there was")
	page.waitText("#history-known", "etcd notes no times")

	// It is looked again when that is wanted, and times are known of what was seen.
	override := put("configurators", override("10.0.0.1:20000", "&weight=7"))
	etcd.delete(override)
	page.waitText("[data-category=providers]", "10.0.0.1:20000")
	page.click("#history-again")
	page.waitText("#history-status", "3 changes")
	page.wait("document.querySelector('#history-list li').innerText.includes('removed')")
	page.wait("document.querySelectorAll('#history-list time').length === 3")
	page.wait("!document.querySelector('#history-list li').innerText.includes('before')")
	require.NotContains(t, page.text("#history"), "s3cr3t")

	page.press(kb.Escape)
	page.wait("!document.querySelector('#history').open && document.activeElement.matches('.history')")

	// By keyboard alone.
	page.press(kb.Enter)
	page.waitText("#history-status", "3 changes")
	page.press("/")
	page.wait("document.activeElement.id !== 'filter'")
	page.press(kb.Escape)
	page.wait("!document.querySelector('#history').open")

	etcd.Kill()
	page.click(".service .history")
	page.waitText("#history-status", "etcd does not answer")
}

func TestTheHistoryOfAnApplicationSaysWhatChangedAndHowItLeft(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	const key = "/services/shop/10.0.0.1:20000"
	lease, err := etcd.Client().Grant(t.Context(), 600)
	require.NoError(t, err)
	put := func(weight int, token string) {
		testkit.Put(t, etcd.Client(), key, fmt.Sprintf(`{"host":"10.0.0.1","port":20000,"weight":%d,"metadata":{"token":%q,"timestamp":"1700000000000"}}`, weight, token), clientv3.WithLease(lease.ID))
	}
	put(100, "s3cr3t")
	put(300, "s3cr3t2")
	etcd.delete(key)
	testkit.Put(t, etcd.Client(), "/dubbo/mapping/"+greeter, "shop")
	put(100, "s3cr3t")
	_, err = etcd.Client().Revoke(t.Context(), lease.ID)
	require.NoError(t, err)
	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.2:20000", `{"host":"10.0.0.2","port":20000}`) // what is gone is not shown
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.waitText("#count-instances", "1")
	page.click("#views [data-view=application]")
	page.waitText("[data-category=instances]", "10.0.0.2:20000")
	page.click("[data-application=shop] .history")
	page.waitText("#history-status", "7 changes")
	for i, texts := range [][]string{
		{"registered", "instance", "10.0.0.2:20000"},
		{"left", "its lease is gone as well"},
		{"registered", "10.0.0.1:20000", "Started, as it says"},
		{"set", "mapping", greeter},
		{"left", "deleted while its lease lived"},
		{"changed", "weight", "100 → 300"},
		{"registered"},
	} {
		for _, text := range texts {
			page.waitText(fmt.Sprintf("#history-list li:nth-child(%d)", i+1), text)
		}
	}
	require.NotContains(t, page.text("#history"), "s3cr3t")
	page.click("#history-close")
	page.click("#views [data-view=service]")
	page.wait("document.activeElement.dataset.view === 'service'") // what was behind it takes keys again
}

func TestAHistoryIsOfAName(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	console := startConsole(t, etcd.address())
	for _, name := range []string{"", "a/b", "..%2F"} {
		response, err := http.Get(console.url + "history?kind=service&name=" + name)
		require.NoError(t, err)
		defer response.Body.Close()
		var answer line
		require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		require.Contains(t, answer.Error, "no name")
	}
	http.DefaultClient.CloseIdleConnections()
}

// Ten thousand instances came at once: the page is told of the last of them.
func TestTheHistoryOfALargeApplicationIsShort(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	putMany(t, etcd, 1, 1, 10_000)
	page := openTab(t, startConsole(t, etcd.address()).url)
	page.limit = 4 * patience
	page.waitText("#count-instances", "10000")
	page.click("#views [data-view=application]")
	page.waitText("[data-application=fleet] [data-category=instances]", "10.0.00.000:20000")
	page.click("[data-application=fleet] .history")
	page.waitText("#history-status", "The last 200 changes")
	require.Equal(t, 200, page.number("document.querySelectorAll('#history-list li').length"))
}
