// SPDX-License-Identifier: Apache-2.0

package metadatareport_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMappingHoldsEachApplicationOnce(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	requireMapping(t, r, greeter, "")
	for _, application := range []string{"order-service", "order", "order-service"} {
		require.NoError(t, r.RegisterServiceAppMapping(greeter, group, application))
	}
	value, _ := testkit.Value(t, etcd.Client(), "/dubbo/mapping/"+greeter)
	assert.Equal(t, "order-service,order", value)
	requireMapping(t, r, greeter, "order order-service")

	testkit.Put(t, etcd.Client(), "/dubbo/mapping/"+greeter, "") // and somebody took it away
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "order"))
	requireMapping(t, r, greeter, "order")
}

func TestConsumerThatStartsBeforeItsProviderIsTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	consumer, provider := newReport(t, etcd.Endpoint()), newReport(t, etcd.Endpoint())
	l := &listener{}
	require.Empty(t, listen(t, consumer, greeter, l))
	require.NoError(t, provider.RegisterServiceAppMapping(greeter+"2", group, "other")) // the same prefix
	require.NoError(t, provider.RegisterServiceAppMapping(greeter, group, "shop"))
	l.RequireLast(t, "shop")
	require.NoError(t, provider.RegisterServiceAppMapping(greeter, group, "market"))
	l.RequireLast(t, "market shop")
	require.NoError(t, provider.RegisterServiceAppMapping(greeter, group, "shop"))
	testkit.Put(t, etcd.Client(), "/dubbo/mapping/"+greeter, "market,shop") // in another order
	testkit.Put(t, etcd.Client(), "/dubbo/mapping/"+greeter, "market,shop,inn")
	l.RequireLast(t, "inn market shop")
	assert.Equal(t, []string{"shop", "market shop", "inn market shop"}, l.All(), "what is the same is not told")

	again := &listener{}
	assert.Equal(t, "inn market shop", listen(t, consumer, greeter, again))
	assert.Equal(t, "inn market shop", listen(t, consumer, greeter, l), "it listens already")
	require.NoError(t, provider.RegisterServiceAppMapping(greeter, group, "zoo"))
	l.RequireLast(t, "inn market shop zoo")
	again.RequireLast(t, "inn market shop zoo")
	assert.Len(t, again.All(), 1, "it is not told what was returned")
}

func TestNoChangeIsLostBetweenTheAnswerAndTheFirstNotification(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for i := range 20 {
		consumer, provider := newReport(t, etcd.Endpoint()), newReport(t, etcd.Endpoint())
		service := fmt.Sprintf("org.e2e.Greeter%d", i)
		var running sync.WaitGroup
		running.Go(func() { assert.NoError(t, provider.RegisterServiceAppMapping(service, group, "shop")) })
		l := &listener{}
		returned := listen(t, consumer, service, l)
		running.Wait()
		if returned == "" {
			l.RequireLast(t, "shop")
		}
	}
}

func TestASlowListenerDelaysNoOther(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	block := make(chan struct{})
	slow, quick := &listener{testkit.Told{During: func() { <-block }}}, &listener{}
	listen(t, r, greeter, slow)
	listen(t, r, greeter, quick)
	for i := range 5 {
		require.NoError(t, r.RegisterServiceAppMapping(greeter, group, fmt.Sprintf("a%d", i)))
	}
	quick.RequireLast(t, "a0 a1 a2 a3 a4")
	close(block)
	slow.RequireLast(t, "a0 a1 a2 a3 a4")
}

func TestAListenerThatPanicsIsToldTheNextChange(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	l := &listener{}
	l.During = func() {
		if len(l.All()) == 1 {
			panic("expected")
		}
	}
	listen(t, r, greeter, l)
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "a"))
	l.RequireLast(t, "a")
	require.NoError(t, r.RegisterServiceAppMapping(greeter, group, "b"))
	l.RequireLast(t, "a b")
}

func TestARemovedListenerIsNotTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	removed, other, inside := &listener{}, &listener{}, &listener{}
	inside.During = func() { assert.NoError(t, r.RemoveServiceAppMappingListener(greeter+"3", group)) }
	listen(t, r, greeter, removed)
	listen(t, r, greeter+"2", other)
	listen(t, r, greeter+"3", inside)
	require.NoError(t, r.RemoveServiceAppMappingListener(greeter, group))
	require.NoError(t, r.RemoveServiceAppMappingListener(greeter, group), "again")
	for _, service := range []string{greeter, greeter + "2", greeter + "3"} {
		require.NoError(t, r.RegisterServiceAppMapping(service, group, "shop"))
	}
	other.RequireLast(t, "shop")
	inside.RequireLast(t, "shop")
	require.NoError(t, r.RegisterServiceAppMapping(greeter+"3", group, "market"))
	require.NoError(t, r.RegisterServiceAppMapping(greeter+"2", group, "market"))
	other.RequireLast(t, "market shop")
	assert.Empty(t, removed.All())
	assert.Equal(t, []string{"shop"}, inside.All(), "it removed itself when it was told")

	assert.Equal(t, "shop", listen(t, r, greeter, removed), "it may listen again")
}

func TestNothingIsToldWhenRemoveHasReturned(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	for i := range 20 {
		service := fmt.Sprintf("org.e2e.Greeter%d", i)
		l := &listener{testkit.Told{During: func() { time.Sleep(time.Millisecond) }}}
		listen(t, r, service, l)
		require.NoError(t, r.RegisterServiceAppMapping(service, group, "shop"))
		require.NoError(t, r.RemoveServiceAppMappingListener(service, group))
		l.Close()
		time.Sleep(2 * time.Millisecond)
		l.RequireNoFaults(t)
	}
}

// As the framework calls it: it tries again when it is told of a conflict.
func TestTwentyApplicationsThatRegisterAtOnceAreAllThere(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	var want []string
	l := &listener{}
	listen(t, newReport(t, etcd.Endpoint()), greeter, l)
	var running sync.WaitGroup
	for i := range 20 {
		application := fmt.Sprintf("application-%02d", i)
		want = append(want, application)
		r := newReport(t, etcd.Endpoint()) // one of its own, as if it was another process
		running.Go(func() {
			err := report.ErrMappingCASConflict
			for range 10 {
				if !errors.Is(err, report.ErrMappingCASConflict) {
					break
				}
				err = r.RegisterServiceAppMapping(greeter, group, application)
			}
			assert.NoError(t, err)
		})
	}
	running.Wait()
	set, err := newReport(t, etcd.Endpoint()).GetServiceAppMapping(greeter, group, nil)
	require.NoError(t, err)
	assert.Equal(t, 20, set.Size())
	slices.Sort(want)
	all := ""
	for _, application := range want {
		all += application + " "
	}
	l.RequireLast(t, all[:len(all)-1])
}

func TestManyWishesOfOneKeyAreAllFulfilled(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	r := newReport(t, etcd.Endpoint())
	var running sync.WaitGroup
	for i := range 150 {
		running.Go(func() {
			assert.NoError(t, r.RegisterServiceAppMapping(greeter, group, fmt.Sprintf("application-%03d", i)))
			assert.NoError(t, r.RegisterServiceAppMapping(fmt.Sprintf("org.e2e.Greeter%d", i), group, "shop"))
		})
	}
	running.Wait()
	set, err := r.GetServiceAppMapping(greeter, group, nil)
	require.NoError(t, err)
	assert.Equal(t, 150, set.Size())
}
