// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const tagRule = `configVersion: v3.0
force: true
enabled: true
runtime: true
key: shop
tags:
  - name: gray
    addresses: ["%s"]
`

const conditionRule = `configVersion: v3.0
scope: service
force: true
runtime: true
enabled: true
key: org.interop.Plain
conditions:
  - "=> port = %s"
`

// ofProviders are overrides that providers of an application apply, ofConsumers
// such as consumers do.
const (
	ofProviders = `configVersion: v2.7
scope: application
key: shop
enabled: true
configs:
  - side: provider
    parameters: {timeout: 2500}
`
	ofConsumers = `configVersion: v2.7
scope: application
key: "*"
enabled: true
configs:
  - side: consumer
    addresses: ["0.0.0.0:0"]
    providerAddresses: ["%s"]
    parameters: {weight: 0}
`
)

func TestRulesInTheConfigCenterAreObeyedByBoth(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		inGo, inJava := goSide(), javaSide(v)
		host, isOutward := outward()
		at := map[string]string{"x": net.JoinHostPort(host, portOf(address(t))), "y": net.JoinHostPort(host, portOf(address(t)))}
		center := map[string]string{"Go": "config=" + etcd.Endpoint(), "Java": "config=etcd://" + etcd.Endpoint()}
		for name, s := range map[string]side{"x": inGo, "y": inJava} {
			s.start(t, name, s.registry(etcd.Endpoint()), center[s.language], "application=shop", "serve=dubbo://"+at[name]+"/"+plainInterface, "weight=100")
		}
		consumers := []*peer{
			inGo.start(t, "consumer", inGo.registry(etcd.Endpoint()), center["Go"], referPlain),
			inJava.start(t, "consumer", inJava.registry(etcd.Endpoint()), center["Java"], referPlain),
		}
		publisher := testkit.NewCenter(t, etcd.Endpoint())
		called := func(t *testing.T, c int, by ...string) {
			t.Helper()
			requireCalls(t, consumers[c].in(t), 0, by...)
		}
		for i := range consumers {
			called(t, i, "x@/", "y@/")
		}

		require.NoError(t, publisher.PublishConfig("shop.tag-router", "dubbo", fmt.Sprintf(tagRule, at["x"])))
		t.Run("TagInGo", func(t *testing.T) { called(t, 0, "y@/") })
		t.Run("TagInJava", func(t *testing.T) {
			if isOutward {
				called(t, 1, "y@/")
				return
			}
			// Java's NetUtils takes a loopback address for one of IPv6, which this one
			// does not match: it says so, and thereby that it has heard of the rule.
			c := consumers[1].in(t)
			testkit.Await(t, testkit.LongPatience, func() bool {
				c.do("call 0 1")
				return strings.Contains(c.log(), "The format of ip address is invalid in tag route. Address :"+at["x"])
			}, "Java is told of the rule")
		})
		require.NoError(t, publisher.RemoveConfig("shop.tag-router", "dubbo"))
		for i := range consumers {
			called(t, i, "x@/", "y@/")
		}

		require.NoError(t, publisher.PublishConfig(plainInterface+"::.condition-router", "dubbo", fmt.Sprintf(conditionRule, portOf(at["y"]))))
		for i, language := range []string{"Go", "Java"} {
			t.Run("ConditionIn"+language, func(t *testing.T) { called(t, i, "y@/") })
		}
		require.NoError(t, publisher.RemoveConfig(plainInterface+"::.condition-router", "dubbo"))
		for i := range consumers {
			called(t, i, "x@/", "y@/")
		}

		require.NoError(t, publisher.PublishConfig("shop.configurators", "dubbo", ofProviders))
		t.Run("OverrideOfProvidersInGo", func(t *testing.T) { serviceRegisteredWith(t, etcd, plainInterface, at["x"], "timeout", "2500") })
		t.Run("OverrideOfProvidersInJava", func(t *testing.T) { serviceRegisteredWith(t, etcd, plainInterface, at["y"], "timeout", "2500") })
		require.NoError(t, publisher.RemoveConfig("shop.configurators", "dubbo"))
		serviceRegisteredWith(t, etcd, plainInterface, at["x"], "timeout", "")
		for i := range consumers { // which have them served again
			called(t, i, "x@/", "y@/")
		}
		// The last one: Java goes on with what it was told of.
		require.NoError(t, publisher.PublishConfig("consumer.configurators", "dubbo", fmt.Sprintf(ofConsumers, at["x"])))
		t.Run("OverrideOfConsumersInGo", func(t *testing.T) { called(t, 0, "y@/") })
		t.Run("OverrideOfConsumersInJava", func(t *testing.T) { called(t, 1, "y@/") })
	})
}

// outward returns an address of this machine at which others could call it; without
// one, a loopback address.
func outward() (host string, ok bool) {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, is := a.(*net.IPNet); is && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String(), true
		}
	}
	return "127.0.0.1", false
}

// heard keeps what a listener of the config center is told.
type heard struct{ testkit.Told }

func (h *heard) Process(e *config_center.ConfigChangeEvent) {
	h.Tell(fmt.Sprint(e.Key, " ", e.Value))
}

func TestTheConfigCentersOfBothHaveTheSameKeys(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		java := startPeer(t, v, etcd.Endpoint())
		center := testkit.NewCenter(t, etcd.Endpoint())
		java.do("listen dubbo shop.tag-router")
		require.NoError(t, center.PublishConfig("shop.tag-router", "dubbo", "ä: 1"))
		// Java says null where etcd has not answered in time.
		testkit.Await(t, testkit.Patience, func() bool { return java.do("get dubbo shop.tag-router") == "ä: 1" }, "Java reads it")
		value, _ := testkit.Value(t, etcd.Client(), "/dubbo/config/dubbo/shop.tag-router")
		assert.Equal(t, "ä: 1", value)
		testkit.Await(t, testkit.Patience, func() bool { // Java does not say when it watches
			require.NoError(t, center.PublishConfig("shop.tag-router", "dubbo", "ä: 1"))
			told := java.unasked()
			return len(told) > 0 && told[len(told)-1] == "shop.tag-router MODIFIED "+url.QueryEscape("ä: 1")
		}, "Java is told")

		h := &heard{}
		center.AddListener("other.tag-router", h, config_center.WithGroup("dubbo"))
		assert.Equal(t, "false", java.do("configure dubbo other.tag-router x"), "EtcdDynamicConfiguration publishes nothing")
		testkit.Put(t, etcd.Client(), "/dubbo/config/dubbo/other.tag-router", "b: 2") // as an operator does in its place
		h.RequireLast(t, "other.tag-router b: 2")
	})
}
