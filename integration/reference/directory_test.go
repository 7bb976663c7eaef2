// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestADirectoryIsCompleteWhenItIsSubscribedAndFollows(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProcess(t, etcd, etcd.Endpoint())
	p.serve("shop", 3, "org.a.Greeter")
	d := p.refer("org.a.Greeter")
	assert.Equal(t, []string{addressOf(0), addressOf(1), addressOf(2)}, testkit.Invokers(d))
	testkit.Delete(t, p.etcd, instanceKey("shop", 1))
	p.put(instanceKey("shop", 3), p.instance("shop", 3, ""))
	testkit.Await(t, testkit.LongPatience, func() bool {
		return fmt.Sprint(testkit.Invokers(d)) == fmt.Sprint([]string{addressOf(0), addressOf(2), addressOf(3)})
	}, "it follows")
}

// A wrong password is no outage: who starts is told at once, and need not start
// again when it has been made right.
func TestAReferenceThatEtcdRefusesIsAnErrorAtOnceAndMends(t *testing.T) {
	etcd := etcdtest.Start(t)
	root := testkit.EnableAuth(t, etcd, "shop", "/")
	p := newProcess(t, etcd, etcd.Endpoint(), testkit.As("shop", "not yet the password")...)
	p.etcd = root
	p.serve("shop", 2, "org.a.Greeter")
	d, err := p.tryToRefer("org.a.Greeter")
	require.ErrorContains(t, err, `as user "shop"`)
	require.ErrorContains(t, err, "authentication failed")
	require.NotContains(t, err.Error(), "not yet the password")
	assert.Empty(t, testkit.Invokers(d))
	testkit.Do(t, func(ctx context.Context) error {
		_, err := root.UserChangePassword(ctx, "shop", "not yet the password")
		return err
	})
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Invokers(d)) == 2 }, "nobody is offered")
}

func TestAReferenceThatNamesItsApplicationsNeedsNoMapping(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProcess(t, etcd, etcd.Endpoint())
	p.serve("shop", 2, "org.a.Greeter")
	testkit.Delete(t, p.etcd, "/dubbo/mapping/org.a.Greeter")
	assert.Len(t, testkit.Invokers(p.refer("org.a.Greeter", constant.ProvidedBy, "depot,shop")), 2)
	assert.Empty(t, testkit.Invokers(p.refer("org.a.Greeter")))
}

func TestReferencesThatAreMadeAndDestroyedLeaveNothingBehind(t *testing.T) {
	etcd := etcdtest.Start(t)
	proxy := etcdtest.NewProxy(t, etcd.Endpoint())
	p := newProcess(t, etcd, proxy.Addr())
	p.serve("shop", 3, "org.a.Greeter", "org.a.Clock")
	kept := p.refer("org.a.Greeter")
	var watchers, goroutines int
	settle := func() {
		_, ok := testkit.Poll(testkit.LongPatience, 10*time.Millisecond, func() bool {
			w, g := int(etcd.Metrics().Value(etcdtest.MetricWatchers, nil)), runtime.NumGoroutine()
			steady := w == watchers && g == goroutines
			watchers, goroutines = w, g
			return steady
		})
		require.True(t, ok, "watches and goroutines end")
	}
	settle()
	before, running := watchers, goroutines
	for i := range 200 {
		d := p.refer([]string{"org.a.Greeter", "org.a.Clock", "org.a.Nothing"}[i%3])
		d.Destroy()
	}
	testkit.Await(t, testkit.LongPatience, func() bool { return int(etcd.Metrics().Value(etcdtest.MetricWatchers, nil)) == before }, "no watch is left behind")
	settle()
	assert.InDelta(t, running, goroutines, 20)
	assert.Equal(t, 1, proxy.Open(), "connections")
	p.put(instanceKey("shop", 3), p.instance("shop", 3, ""))
	testkit.Await(t, testkit.LongPatience, func() bool { return len(testkit.Invokers(kept)) == 4 }, "the one that is left follows")
}

// References share what they have in common.
func TestTwentyReferencesToOneApplicationReadItOnce(t *testing.T) {
	etcd := etcdtest.Start(t)
	p := newProcess(t, etcd, etcd.Endpoint())
	services := make([]string, 20)
	for i := range services {
		services[i] = fmt.Sprintf("org.a.Service%d", i)
	}
	p.serve("shop", 3, services...)
	ranges := func() int { return etcd.Metrics().Requests("Range") }
	before := ranges()
	for _, service := range services {
		assert.Len(t, testkit.Invokers(p.refer(service)), 3)
	}
	assert.Equal(t, 20+1+1, ranges()-before, "each mapping, the instances, the metadata")
	assert.InDelta(t, 20+1, etcd.Metrics().Value(etcdtest.MetricWatchers, nil), 0)
}
