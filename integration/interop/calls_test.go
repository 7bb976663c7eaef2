// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// side starts applications in one language, registered by interface.
type side struct {
	language string
	start    func(t *testing.T, name string, args ...string) *peer
	registry func(etcd string) string // the argument that names it
}

func goSide() side {
	return side{"Go", startGo, func(etcd string) string { return "registry=etcdv3://" + etcd + "?type=interface&session=10000" }}
}

func javaSide(v version) side {
	return side{"Java", func(t *testing.T, name string, args ...string) *peer {
		t.Helper()
		return startJava(t, v, name, append([]string{"mode=interface"}, args...)...)
	}, func(etcd string) string { return "registry=etcd3://" + etcd + "?session=10000" }}
}

// bothWays runs a test with a provider in Java and a consumer in Go, and the other
// way round.
func bothWays(t *testing.T, v version, test func(t *testing.T, provider, consumer side)) {
	t.Helper()
	t.Run("GoCallsJava", func(t *testing.T) { t.Parallel(); test(t, javaSide(v), goSide()) })
	t.Run("JavaCallsGo", func(t *testing.T) { t.Parallel(); test(t, goSide(), javaSide(v)) })
}

// address returns a loopback address that no other test is given until t ends.
func address(t *testing.T) string { return etcdtest.Reserve(t).Endpoint() }

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// requireCalls waits until all calls of a reference are answered by exactly these.
func requireCalls(t *testing.T, consumer *peer, reference int, want ...string) {
	t.Helper()
	var seen string
	_, ok := testkit.Poll(testkit.LongPatience, 0, func() bool {
		seen = consumer.do("call %d %d", reference, 20*max(1, len(want)))
		return answeredBy(seen, want...)
	})
	require.True(t, ok, "%s was answered by %q, want %q", consumer.name, seen, want)
}

// What a provider serves in all ways, and how it is called.
var ways = []struct{ name, service, parameters string }{
	{"DubboWithHessian", "dubbo://%s/" + plainInterface, ""},
	{"DubboWithGroupAndVersion", "dubbo://%s/" + plainInterface, "?group=g&version=1.0.0"},
	{"TripleWithProtobuf", "tri://%s/" + protoInterface, ""},
	{"TripleWithProtobufGroupAndVersion", "tri://%s/" + protoInterface, "?group=g&version=1.0.0"},
	{"TripleWithHessian", "tri://%s/" + plainInterface, "?version=2.0.0"},
}

// byGeneric are those of the ways in which it is called by somebody who has not the
// interface.
var byGeneric = []int{0, 1, 4}

func TestGoAndJavaCallEachOther(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		bothWays(t, v, func(t *testing.T, provider, consumer side) {
			etcd := etcdtest.Start(t)
			at := map[string]string{"dubbo": address(t), "tri": address(t)}
			serve, refer := []string{provider.registry(etcd.Endpoint())}, []string{consumer.registry(etcd.Endpoint())}
			for _, w := range ways {
				protocol, _, _ := strings.Cut(w.service, ":")
				serve = append(serve, "serve="+fmt.Sprintf(w.service, at[protocol])+w.parameters)
				refer = append(refer, "refer="+fmt.Sprintf(w.service, "any")+w.parameters)
			}
			provider.start(t, "provider", serve...)
			c := consumer.start(t, "consumer", refer...)
			called := func(w int) string {
				q, _ := url.ParseQuery(strings.TrimPrefix(ways[w].parameters, "?"))
				return "provider@" + q.Get("group") + "/" + q.Get("version")
			}
			for i, w := range ways {
				t.Run(w.name, func(t *testing.T) {
					c := c.in(t)
					requireCalls(t, c, i, called(i))
					if strings.Contains(w.service, plainInterface) {
						require.Equal(t, "Ana 42", c.do("older %d", i))
					}
				})
			}
			for i, w := range byGeneric {
				t.Run("Generic"+ways[w].name, func(t *testing.T) {
					c := c.in(t)
					sep := "?"
					if ways[w].parameters != "" {
						sep = ways[w].parameters + "&"
					}
					c.do("refer %s%sgeneric=true", fmt.Sprintf(ways[w].service, "any"), sep)
					requireCalls(t, c, len(ways)+i, called(w))
					require.Equal(t, "Ana 42", c.do("older %d", len(ways)+i))
				})
			}
			t.Run("NoProviderOfAnotherGroup", func(t *testing.T) {
				c := c.in(t)
				c.do("refer dubbo://any/%s?group=h", plainInterface)
				require.Regexp(t, "^failed=3 !", c.do("call %d 3", len(ways)+len(byGeneric)))
			})
		})
	})
}

// answeredBy says whether an answer to "call" names exactly these.
func answeredBy(answer string, want ...string) bool {
	counts, failure, _ := strings.Cut(answer, " !")
	var by []string
	for count := range strings.FieldsSeq(counts) {
		name, _, _ := strings.Cut(count, "=")
		by = append(by, name)
	}
	slices.Sort(want)
	return failure == "" && slices.Equal(by, want)
}
