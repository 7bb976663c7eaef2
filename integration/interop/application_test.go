// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// byApplication is how applications are registered, and found by their names.
func byApplication(v version) (inGo, inJava side) {
	return side{"Go", startGo, func(etcd string) string { return "registry=etcdv3://" + etcd + "?type=service&session=10000" }},
		side{"Java", func(t *testing.T, name string, args ...string) *peer {
			t.Helper()
			return startJava(t, v, name, append([]string{"mode=instance", "property=dubbo.application.service-discovery.migration=FORCE_APPLICATION"}, args...)...)
		}, func(etcd string) string { return "registry=etcd://" + etcd + "?registry-type=service&session=10000" }}
}

func TestApplicationsInGoCallOnesInJavaByTheirName(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		inGo, inJava := byApplication(v)
		first := inJava.start(t, "first", inJava.registry(etcd.Endpoint()), "application=shop", plain(t), "serve=tri://"+address(t)+"/"+protoInterface)
		c := inGo.start(t, "consumer", inGo.registry(etcd.Endpoint()), referPlain+"?provided-by=shop", "refer=tri://any/"+protoInterface+"?provided-by=shop")
		requireCalls(t, c, 0, "first@/")
		requireCalls(t, c, 1, "first@/")
		inJava.start(t, "second", inJava.registry(etcd.Endpoint()), "application=shop", plain(t), "serve=tri://"+address(t)+"/"+protoInterface)
		requireCalls(t, c, 0, "first@/", "second@/")
		first.stop()
		requireCalls(t, c, 0, "second@/")
		requireCalls(t, c, 1, "second@/")
		require.Empty(t, testkit.Values(t, etcd.Client(), "/dubbo/mapping/"), "Java writes no mapping")
	})
}

// EtcdServiceDiscovery of Java makes instances without their ApplicationModel, which
// is what their metadata is asked for with: not even applications in Java are called.
func TestConsumersInJavaByApplicationCallNobody(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		inGo, inJava := byApplication(v)
		inGo.start(t, "first", inGo.registry(etcd.Endpoint()), "application=shop", plain(t))
		inJava.start(t, "second", inJava.registry(etcd.Endpoint()), "application=inn", plain(t))
		for _, name := range []string{"shop", "inn"} {
			testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Values(t, etcd.Client(), "/services/"+name+"/")) == 1 }, "%s is registered", name)
		}
		c := inJava.start(t, "consumer", inJava.registry(etcd.Endpoint()), referPlain+"?provided-by=shop,inn")
		require.Regexp(t, "^failed=3 !", c.do("call 0 3"))
		require.Contains(t, c.log(), "getApplicationModel()")
	})
}

// What to do about that: providers register both ways, consumers in Java go by
// interface.
func TestProvidersOfBothTypesAreCalledByJavaByInterface(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		etcd := etcdtest.Start(t)
		startGo(t, "provider", "registry=etcdv3://"+etcd.Endpoint()+"?type=all", "application=shop", plain(t))
		inGo, _ := byApplication(v)
		requireCalls(t, inGo.start(t, "byApplication", inGo.registry(etcd.Endpoint()), referPlain), 0, "provider@/")
		inJava := javaSide(v)
		requireCalls(t, inJava.start(t, "byInterface", inJava.registry(etcd.Endpoint()), referPlain), 0, "provider@/")
	})
}
