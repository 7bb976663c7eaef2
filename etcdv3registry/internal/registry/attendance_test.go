// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/cluster/router/chain"
	framework "dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// unwilling is a directory that takes nobody.
type unwilling struct {
	directory.Directory
	chain router.Chain
	told  atomic.Int64
}

func (d *unwilling) RouterChain() router.Chain         { return d.chain }
func (d *unwilling) SetRouterChain(other router.Chain) { d.chain = other }

func (d *unwilling) Notify(*framework.ServiceEvent) {
	d.told.Add(1)
	d.chain.SetInvokers(nil)
}

func (d *unwilling) NotifyAll(_ []*framework.ServiceEvent, done func()) {
	d.chain.SetInvokers(nil)
	done()
}

func TestADirectoryIsToldAgainOfWhomItLacksUntilItsSubscriptionEnds(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listening.Close() }()
	var dialled atomic.Int64
	go func() {
		for {
			conn, err := listening.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listening.Addr().String())
	require.NoError(t, err)
	for name, end := range map[string]func(*testing.T, *Registry, *unwilling){
		"it unsubscribes": func(t *testing.T, r *Registry, d *unwilling) {
			require.NoError(t, r.UnSubscribe(urltest.Consumer(), d))
		},
		"the registry is destroyed": func(_ *testing.T, r *Registry, _ *unwilling) { r.Destroy() },
	} {
		t.Run(name, func(t *testing.T) {
			with(t, nil, func(t *testing.T, _ *etcdfake.Etcd, r *Registry) {
				u := at("127.0.0.1")
				u.Port, u.Location = port, listening.Addr().String()
				require.NoError(t, r.Register(u))
				d := &unwilling{chain: &chain.RouterChain{}}
				require.NoError(t, r.LoadSubscribeInstances(urltest.Consumer(), d))
				require.NoError(t, r.Subscribe(urltest.Consumer(), d))
				require.Eventually(t, func() bool { return d.told.Load() > 2 }, time.Hour, time.Millisecond)
				end(t, r, d)
				told, dials := d.told.Load(), dialled.Load()
				time.Sleep(time.Hour)
				assert.Equal(t, told, d.told.Load())
				assert.Equal(t, dials, dialled.Load())
			})
		})
	}
}
