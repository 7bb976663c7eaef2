// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// auditLog is the lines of an audit log.
type auditLog struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *auditLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *auditLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// startWriting starts a console that can change things.
func startWriting(t *testing.T, etcd *etcdServer) (*console, *auditLog) {
	t.Helper()
	log := &auditLog{}
	c := configOf(etcd.address())
	c.access.write, c.audit = true, slog.New(slog.NewTextHandler(log, nil))
	started, err := start(c)
	require.NoError(t, err)
	t.Cleanup(started.close)
	return started, log
}

// confirm waits for the command, does it, and returns what was shown.
func (b *tab) confirm() (command string) {
	b.t.Helper()
	b.wait("document.querySelector('.actions .confirm')")
	command = b.text(".actions pre")
	b.click(".actions .confirm")
	b.waitText(".actions [role=status]", "Done.")
	return command
}

func TestProvidersAreTakenOutAndPutBack(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	etcd.put("/dubbo/" + greeter + "/providers/" + url.QueryEscape(provider("10.0.0.1:20000", "&group=eu&category=providers")))
	console, log := startWriting(t, etcd)
	page := openTab(t, console.url)
	page.waitText("[data-category=providers]", "10.0.0.1:20000")
	page.click("[data-category=providers] .open")

	page.click("[data-do=in]")
	page.waitText(".actions [role=alert]", "has not taken it out")
	page.click("[data-do=out]")
	command := page.confirm()
	require.Contains(t, command, "etcdctl --endpoints="+etcd.address()+" txn <<'EOF'\nmod(\"/dubbo/"+greeter+"/configurators/override%3A%2F%2F10.0.0.1%3A20000")
	page.waitText("[data-category=providers]", "disabled (override)")
	require.Contains(t, log.String(), "level=INFO msg=done user=- from=127.0.0.1:")
	require.Contains(t, log.String(), "do=out key=/dubbo/"+greeter+"/configurators/override%3A%2F%2F10.0.0.1%3A20000")

	page.click("[data-do=in]")
	page.confirm()
	page.wait("!document.querySelector('[data-category=providers]').innerText.includes('disabled')")

	// The command that was shown does the same in a shell.
	etcd.Shell("unset ETCDCTL_ENDPOINTS\n" + command) // which names it itself
	page.waitText("[data-category=providers]", "disabled (override)")
	etcd.deletePrefix("/dubbo/" + greeter + "/configurators/")

	page.click("[data-do=weight]")
	page.wait("document.activeElement.matches('.actions input')")
	page.press("many" + kb.Enter)
	page.waitText(".actions [role=alert]", "a weight is a number")
	page.click("[data-do=weight]")
	page.wait("document.activeElement.matches('.actions input')")
	page.press("300" + kb.Enter)
	page.confirm()
	page.waitText("[data-category=providers]", "weight 300 (override)")
}

func TestInstancesAreTaggedAndTakenOut(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.1:20000", `{"host":"10.0.0.1","port":20000}`)
	console, _ := startWriting(t, etcd)
	page := openTab(t, console.url)
	page.waitText("#count-instances", "1")
	page.click("#views [data-view=application]")
	page.waitText("[data-category=instances]", "10.0.0.1:20000")
	page.click("[data-category=instances] .open")
	const rule = "/dubbo/config/dubbo/shop.tag-router"

	page.click("[data-do=tag]")
	page.wait("document.activeElement.matches('.actions input')")
	page.press("gray" + kb.Enter)
	command := page.confirm()
	value, _ := testkit.Value(t, etcd.Client(), rule)
	require.Contains(t, value, "key: shop")
	require.Contains(t, value, "- 10.0.0.1:20000")
	require.Contains(t, value, "name: gray")
	etcd.delete(rule)
	etcd.Shell("unset ETCDCTL_ENDPOINTS\n" + command) // which names it itself
	again, _ := testkit.Value(t, etcd.Client(), rule)
	require.Equal(t, value, again, "the command that was shown does the same")

	page.click("[data-do=out]")
	page.confirm()
	value, _ = testkit.Value(t, etcd.Client(), rule)
	require.NotContains(t, value, "gray")
	require.Contains(t, value, "name: taken-out-by-console")
	page.click("[data-do=in]")
	page.confirm()
	value, _ = testkit.Value(t, etcd.Client(), rule)
	require.Contains(t, value, "tags: []")
}

func TestRulesAreEditedAndKeysThatNobodyReadsDeleted(t *testing.T) {
	t.Parallel()
	const rule, stale = "/dubbo/config/dubbo/shop.tag-router", "/dubbo/" + greeter + "/providers/nonsense"
	etcd := newEtcd(t)
	etcd.Start()
	testkit.Put(t, etcd.Client(), rule, "enabled: true\n")
	etcd.put(stale)
	console, log := startWriting(t, etcd)
	page := openTab(t, console.url)
	page.waitText("#problems", "cannot be read")
	page.click("#problems [data-do=delete]")
	page.click(".actions .confirm") // the problem is gone with it
	testkit.Await(t, patience, func() bool { _, ok := testkit.Value(t, etcd.Client(), stale); return !ok })

	page.click("#views [data-view=rules]")
	page.waitText("[data-category=rules]", "shop.tag-router")
	page.click("[data-category=rules] .open")
	edit := func(text string) {
		page.click("[data-do=rule]")
		page.wait("document.activeElement.matches('.actions textarea')")
		page.wait("document.querySelector('.actions textarea').value === 'enabled: true\\n'")
		page.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void (document.querySelector('.actions textarea').value = %q)", text)))
		page.click(".actions form button")
	}
	edit("enabled: [")
	page.waitText(".actions [role=alert]", "it is not YAML")
	edit("")
	page.waitText(".actions [role=alert]", "delete the key instead")
	edit("enabled: false\nnote: \"it's\"\n")
	page.wait("document.querySelector('.actions .confirm')")

	// Somebody else is quicker.
	testkit.Put(t, etcd.Client(), rule, "enabled: true\n")
	page.click(".actions .confirm")
	page.waitText(".actions [role=alert]", "changed meanwhile")
	value, _ := testkit.Value(t, etcd.Client(), rule)
	require.Equal(t, "enabled: true\n", value)
	require.Contains(t, log.String(), "not done")

	edit("enabled: false\nnote: \"it's\"\n")
	command := page.confirm()
	value, _ = testkit.Value(t, etcd.Client(), rule)
	require.Equal(t, "enabled: false\nnote: \"it's\"\n", value)
	require.True(t, strings.HasPrefix(command, "etcdctl "))
}

func TestNothingCanBeChangedUnlessThatIsWanted(t *testing.T) {
	t.Parallel()
	etcd := newEtcd(t)
	etcd.Start()
	etcd.put("/dubbo/" + greeter + "/providers/" + url.QueryEscape(provider("10.0.0.1:20000", "&category=providers")))
	reading := startConsole(t, etcd.address())
	response, err := http.Post(reading.url+"action", "application/json", strings.NewReader(`{"do":"out"}`))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	page := openTab(t, reading.url)
	page.waitText("[data-category=providers]", "10.0.0.1:20000")
	page.click("[data-category=providers] .open")
	page.wait("document.querySelector('#detail').open && !document.querySelector('.actions')")

	writing, log := startWriting(t, etcd)
	for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, writing.url+"action", strings.NewReader(`{"do":"out"}`))
		require.NoError(t, err)
		request.Header.Set(header, value)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusForbidden, response.StatusCode, header)
	}
	require.Empty(t, log.String())
	http.DefaultClient.CloseIdleConnections()
}
