// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// swallowing listens, accepts and never says anything.
func swallowing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var all []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				for _, c := range all {
					_ = c.Close()
				}
				return
			}
			all = append(all, conn)
		}
	}()
	return l.Addr().String()
}

// hostileProviders are providers as nobody but an attacker, or a broken tool, puts.
// None of them is to be called; the others are, all the time.
func hostileProviders(s service) map[string]string {
	of := func(u string) string { return providersOf(s) + url.QueryEscape(u) }
	path := s.Interface
	query := "?interface=" + s.Interface
	keys := map[string]string{
		providersOf(s) + "not%zzan%url":                                                  "",
		providersOf(s) + "\xff\x00":                                                      "",
		providersOf(s) + strings.Repeat("a", 1e6):                                        "",
		of("evil://10.0.0.1:1/" + path + query):                                          "",
		of("empty://10.0.0.1:1/" + path + query):                                         "",
		of("tri://10.0.0.1:0/" + path + query):                                           "",
		of("tri://10.0.0.1/" + path + query):                                             "",
		of("tri://10.0.0.1:99999999/" + path + query):                                    "",
		of("tri://0.0.0.0:1/" + path + query):                                            "",
		of("tri://10.0.0.1:1/../../" + path + query):                                     "",
		of("tri://10.0.0.1:1" + query):                                                   "",
		of("tri://fe80::1%x\n2026-01-01 FORGED-LINE:1/" + path + query):                  "",
		of("tri://[fe80::1%x\n2026-01-01 FORGED-LINE]:1/" + path + query):                "",
		of("tri://a\n2026-01-01 FORGED-LINE:1/" + path + query):                          "",
		of("tri://10.0.0.1:1/" + path + query + "&methods=" + strings.Repeat("m,", 1e5)): "",
	}
	for i := range 500 {
		keys[providersOf(s)+fmt.Sprint("unreadable", i)] = ""
	}
	return keys
}

// evilParameters name what no process has, or make no sense.
var evilParameters = []string{
	"loadbalance=evil", "cluster=evil", "filter=evil", "reference.filter=evil", "serialization=evil",
	"Greet.loadbalance=evil", "hash.nodes=0", "weight=-1", "tps.limiter=evil", "name=a\n2026-01-01 FORGED-LINE",
}

// hostileRules are overrides of all parameters at once, and of each.
func hostileRules(s service) map[string]string {
	keys := map[string]string{}
	for i, parameter := range append(evilParameters, strings.Join(evilParameters, "&"), "service.filter=evil", "accesslog=/x") {
		rule := fmt.Sprintf("override://0.0.0.0/%s?category=configurators&dynamic=false&enabled=true&i=%d&%s", s.Interface, i, parameter)
		keys["/dubbo/"+s.Interface+"/configurators/"+url.QueryEscape(rule)] = ""
	}
	keys["/dubbo/"+s.Interface+"/configurators/garbage"] = "{"
	return keys
}

// hostileInstances are those of an application.
func hostileInstances(t *testing.T, application string) map[string]string {
	of := func(address string) string { return "/services/" + application + "/" + address }
	_, port, err := net.SplitHostPort(swallowing(t))
	require.NoError(t, err)
	keys := map[string]string{
		of("10.0.0.1:1"): "null", of("10.0.0.2:1"): "{", of("10.0.0.3:1"): strings.Repeat("[", 1e5),
		of("10.0.0.4:1"):     `{"host":"a\n2026-01-01 FORGED-LINE","port":1}`,
		of("10.0.0.5:1"):     `{"host":"10.0.0.6","port":1}`,
		of("10.0.0.7:1"):     `{"serviceName":"another","host":"10.0.0.7","port":1}`,
		of("10.0.0.8:1\n x"): `{"host":"10.0.0.8","port":1}`,
		of("10.0.0.9:1"):     `{"host":"10.0.0.9","port":1,"metadata":{"dubbo.endpoints":"[null]","dubbo.metadata.revision":"a1","dubbo.metadata-service.url-params":"null"}}`,
		of("10.0.0.10:1"):    `{"host":"10.0.0.10","port":1,"metadata":{"dubbo.endpoints":"x","dubbo.metadata.revision":"a2","dubbo.metadata-service.url-params":"{\"protocol\":\"evil\",\"port\":\"1\"}"}}`,
	}
	for i := range 5 { // with revisions of their own, which nobody says
		local := fmt.Sprintf("127.0.0.%d:1", 2+i)
		keys[of(local)] = fmt.Sprintf(`{"host":"127.0.0.%d","port":1,"metadata":{"dubbo.metadata.revision":"b%d","dubbo.metadata-service.url-params":"{\"protocol\":\"tri\",\"port\":\"%s\",\"version\":\"1.0.0\"}"}}`, 2+i, i, port)
	}
	return keys
}

// costOfACall is the CPU that a consumer spends on one, with all that it does
// besides.
func costOfACall(t *testing.T, c *process) time.Duration {
	t.Helper()
	const calls = 500
	before := c.usage().CPU
	awaitMore(t, c, greet, calls)
	return (c.usage().CPU - before) / calls
}

// What anybody may have put into etcd neither stops, slows, floods nor fools those
// who use it.
func TestWhoeverCanWriteToEtcdCannotHarmThoseWhoReadIt(t *testing.T) {
	t.Parallel()
	for _, level := range []registryType{byInterface, byDefault} {
		t.Run("level="+string(level), func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			at := func(s spec) spec {
				for i := range s.Registries {
					s.Registries[i].Type = level
				}
				return governed(etcd, s)
			}
			good := at(provider(t, etcd, "good", long))
			put := func() {
				for _, keys := range []map[string]string{hostileProviders(greet), hostileRules(greet), hostileInstances(t, "good")} {
					for key, value := range keys {
						testkit.Put(t, etcd.Client(), key, value)
					}
				}
				many := []string{"a\n2026-01-01 FORGED-LINE", strings.Repeat("x", 1e5)}
				for i := range 10_000 {
					many = append(many, fmt.Sprint("evil", i))
				}
				mapping := "/dubbo/mapping/" + greet.Interface
				was := ""
				for _, kv := range testkit.Get(t, etcd.Client(), mapping).Kvs {
					was = string(kv.Value) + ","
				}
				testkit.Put(t, etcd.Client(), mapping, was+strings.Join(many, ","))
				putRule(t, etcd, greet.Interface+"::.configurators", "configVersion: v3.0\nscope: service\nkey: "+greet.Interface+
					"\nenabled: true\nconfigs:\n  - side: consumer\n    addresses: [0.0.0.0]\n    parameters: {loadbalance: evil, cluster: evil, reference.filter: evil, serialization: evil}\n"+
					"  - side: provider\n    addresses: [0.0.0.0]\n    parameters: {service.filter: evil, serialization: evil, accesslog: /x}\n")
				putRule(t, etcd, "good.script-router", "scope: application\nkey: good\nenabled: true\ntype: javascript\nscript: while(true){}\n")
				putRule(t, etcd, greet.Interface+"::.condition-router", strings.Repeat("a: &a [*a]\n", 100))
			}
			p := start(t, good)
			running := start(t, at(consumer(etcd, long)))
			calls := of([]service{greet}, p)
			awaitView(t, running, calls)
			quiet, before := costOfACall(t, running), running.usage()
			put()
			begun := time.Now()
			late := start(t, at(consumer(etcd, long)))
			assert.Less(t, time.Since(begun), 30*time.Second, "the start")
			awaitView(t, late, calls)
			requireView(t, running, calls)
			again := start(t, at(provider(t, etcd, "again", long))) // a provider that starts with all that there
			awaitView(t, late, of([]service{greet}, p, again))
			requireView(t, running, of([]service{greet}, p, again))
			requireNoFailure(t, running) // since requireView began
			after := running.usage()
			assert.Less(t, costOfACall(t, running), 4*quiet, "CPU of a call")
			assert.Less(t, after.Goroutines, before.Goroutines+1000, "for the 200 applications of the mapping")
			assert.Less(t, after.Heap, before.Heap+64<<20)
			testkit.Put(t, etcd.Client(), "/dubbo/mapping/"+greet.Interface, "good,again")
			eventually(t, func() string { return fmt.Sprintf("%+v, it was %+v", after, before) }, func() bool {
				after = running.usage()
				return after.Goroutines < before.Goroutines+50
			})
			for _, process := range []*process{p, running, late, again} {
				log, err := os.ReadFile(process.log())
				require.NoError(t, err)
				assert.Less(t, len(log), 2<<20, "bytes of the log of %s", process.Name)
				for line := range strings.Lines(string(log)) {
					assert.False(t, strings.HasPrefix(line, "2026-01-01 FORGED-LINE"), "a line that nobody has logged: %s", process.Name)
					if len(line) > 20_000 {
						assert.Fail(t, "a long line", "%d bytes of %s: %.300s", len(line), process.Name, line)
					}
				}
			}
		})
	}
}
