// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestConnectionsAreResetAgainAndAgain(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	for i := range 40 {
		for _, p := range []*etcdtest.Proxy{s.near, s.far} {
			p.Cut()
			p.Restore()
		}
		if i%8 == 0 {
			s.register(10 + i)
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
	}
	s.requireExact()
	s.requireFollows()
	assert.Equal(t, 1, s.near.Open())
	assert.Equal(t, 1, s.far.Open())
}

// Half-open connections: nothing arrives, and nothing says so. The keep-alive
// pings have to find it.
func TestAFrozenNetworkIsFoundByPings(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	accepted := s.far.Accepted()
	s.far.Freeze()
	s.register(3)
	s.unregister(0)
	begin := time.Now()
	known := s.recorder.Addresses()
	testkit.Await(t, testkit.LongPatience, func() bool { return s.far.Accepted() > accepted }, "the consumer has not tried to connect again")
	t.Logf("a dead connection was found after %v", time.Since(begin).Round(time.Millisecond))
	assert.Equal(t, known, s.recorder.Addresses(), "nothing is forgotten meanwhile")
	s.far.Thaw()
	s.requireExact()
	s.requireFollows()
}

func TestTheProvidersNetworkIsFrozenForLongerThanTheLeaseLives(t *testing.T) {
	t.Parallel()
	_, s := newScene(t)
	s.near.Freeze()
	s.register(3)
	s.unregister(0)
	s.recorder.requireAddresses(t) // its lease has run out
	s.near.Thaw()
	s.requireExact()
	s.requireFollows()
}

// What some load balancers and firewalls do: the consumer, without a lease, is
// idle for longer than that.
func TestIdleConnectionsAreKilledEverySecond(t *testing.T) {
	t.Parallel()
	etcd := newStore(t)
	killer := newIdleKiller(t, etcd.Endpoint(), time.Second)
	s := enact(t, etcd.client, newRegistry(t, killer.addr), newRegistry(t, killer.addr))
	for i := range 4 {
		time.Sleep(1500 * time.Millisecond)
		s.register(10 + i)
		s.requireExact()
	}
	alone := newRecorder("one whose connection is always idle")
	r := newRegistry(t, newIdleKiller(t, etcd.Endpoint(), time.Second).addr)
	require.NoError(t, r.Subscribe(testkit.Consumer(greeter), alone))
	alone.requireAddresses(t, s.addresses...)
	for i := range 4 {
		time.Sleep(1500 * time.Millisecond)
		s.register(20 + i)
		alone.requireAddresses(t, s.addresses...)
	}
	s.requireExact()
}

// idleKiller relays, and closes a connection on which nothing came for a while.
type idleKiller struct {
	addr   string
	target string
	idle   time.Duration
	work   sync.WaitGroup
}

func newIdleKiller(t testing.TB, target string, idle time.Duration) *idleKiller {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	k := &idleKiller{addr: listener.Addr().String(), target: target, idle: idle}
	ctx, cancel := context.WithCancel(context.Background())
	k.work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			k.work.Go(func() { k.relay(ctx, client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		k.work.Wait()
	})
	return k
}

func (k *idleKiller) relay(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", k.target)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })()
	quiet := time.AfterFunc(k.idle, cancel)
	defer quiet.Stop()
	var copies sync.WaitGroup
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		copies.Go(func() {
			defer cancel()
			buf := make([]byte, 32<<10)
			for {
				n, err := ends[0].Read(buf)
				if err != nil {
					return
				}
				quiet.Reset(k.idle)
				if _, err := ends[1].Write(buf[:n]); err != nil {
					return
				}
			}
		})
	}
	copies.Wait()
}

// A bad network in both directions between etcd and both processes, for as long
// as it takes to register and to leave; then a good one.
func TestABadNetwork(t *testing.T) {
	t.Parallel()
	for name, toxic := range map[string]string{
		"latency and jitter": `{"type": "latency", "attributes": {"latency": 150, "jitter": 100}}`,
		"slow":               `{"type": "bandwidth", "attributes": {"rate": 4}}`,
		"in slices":          `{"type": "slicer", "attributes": {"average_size": 20, "size_variation": 10, "delay": 500}}`,
		"closed slowly":      `{"type": "slow_close", "attributes": {"delay": 1000}}`,
		"closed by amount":   `{"type": "limit_data", "attributes": {"bytes": 6000}}`,
		"closed in requests": `{"type": "limit_data", "attributes": {"bytes": 700}}`,
		"reset by peer":      `{"type": "reset_peer", "attributes": {"timeout": 300}}`,
		"nothing arrives":    `{"type": "timeout", "attributes": {"timeout": 700}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := newStore(t)
			near, far := newToxicProxy(t, etcd.Endpoint()), newToxicProxy(t, etcd.Endpoint())
			s := enact(t, etcd.client, newRegistry(t, near.Listen), newRegistry(t, far.Listen))
			for _, p := range []*toxiproxy.Proxy{near, far} {
				poison(t, p, toxic)
			}
			for i := range 5 {
				s.register(10 + i)
				s.unregister(10 + i - 1)
				time.Sleep(500 * time.Millisecond)
			}
			for _, p := range []*toxiproxy.Proxy{near, far} {
				p.Toxics.ResetToxics(t.Context())
			}
			s.requireExact()
			s.requireFollows()
		})
	}
}

func newToxicProxy(t testing.TB, target string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "etcd", "127.0.0.1:0", target)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	return proxy
}

// poison has all connections, in both directions, suffer from a toxic.
func poison(t testing.TB, p *toxiproxy.Proxy, toxic string) {
	t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		_, err := p.Toxics.AddToxicJson(strings.NewReader(strings.Replace(toxic, "{", `{"stream": "`+direction+`", `, 1)))
		require.NoError(t, err)
	}
}
