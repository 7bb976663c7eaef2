// SPDX-License-Identifier: Apache-2.0

package servicediscovery_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Several references of a process to one application ask at the same time.
func TestManyAskForOneApplicationAtATime(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	d := open(t, etcd.Endpoint())
	require.NoError(t, d.Register(instance("greeter", "10.0.0.1", 20000)))

	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 50 {
				assert.Len(t, d.GetInstances("greeter"), 1)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		asking.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(testkit.LongPatience):
		require.FailNow(t, "they wait for each other")
	}
}

// A process that stops does not wait for who asks.
func TestDestroyWhileSomebodyAsks(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for range 100 {
		d := open(t, etcd.Endpoint())
		d.GetInstances("greeter")
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for range 10 {
					d.GetInstances("greeter")
				}
			})
		}
		require.NoError(t, d.Destroy())
		asking.Wait()
	}
}
