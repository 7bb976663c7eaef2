// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"net/url"
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

const configurator = `configVersion: v2.7
scope: application
key: "*"
enabled: true
configs:
  - side: consumer
    addresses: ["0.0.0.0:0"]
    providerAddresses: ["%s"]
    parameters: {weight: 0}
`

func TestRulesInTheConfigCenterAreObeyedByBoth(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		inGo, inJava := goSide(), javaSide(v)
		at := map[string]string{"x": address(t), "y": address(t)}
		for name, s := range map[string]side{"x": inGo, "y": inJava} {
			s.start(t, name, s.registry(etcd.Endpoint()), "application=shop", "serve=dubbo://"+at[name]+"/"+plainInterface, "weight=100")
		}
		consumers := []*peer{
			inGo.start(t, "consumer", inGo.registry(etcd.Endpoint()), "config="+etcd.Endpoint(), referPlain),
			inJava.start(t, "consumer", inJava.registry(etcd.Endpoint()), "config=etcd://"+etcd.Endpoint(), referPlain),
		}
		center := testkit.NewCenter(t, etcd.Endpoint())
		for _, rule := range []struct{ name, key, rule string }{
			{"Tag", "shop.tag-router", fmt.Sprintf(tagRule, at["x"])},
			{"Condition", plainInterface + "::.condition-router", fmt.Sprintf(conditionRule, portOf(at["y"]))},
			{"Configurator", "consumer.configurators", fmt.Sprintf(configurator, at["x"])},
		} {
			for _, c := range consumers {
				requireCalls(t, c, 0, "x@/", "y@/")
			}
			require.NoError(t, center.PublishConfig(rule.key, "dubbo", rule.rule))
			for i, c := range consumers {
				t.Run(rule.name+[]string{"InGo", "InJava"}[i], func(t *testing.T) { requireCalls(t, c.in(t), 0, "y@/") })
			}
			require.NoError(t, center.RemoveConfig(rule.key, "dubbo"))
		}
	})
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
		assert.Equal(t, "ä: 1", java.do("get dubbo shop.tag-router"))
		value, _ := testkit.Value(t, etcd.Client(), "/dubbo/config/dubbo/shop.tag-router")
		assert.Equal(t, "ä: 1", value)
		testkit.Await(t, testkit.Patience, func() bool {
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
