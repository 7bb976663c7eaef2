// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

// putIn puts an instance of an application.
func putIn(e *etcdfake.Etcd, application, host string) {
	e.Put("/services/"+application+"/"+host+":1", `{"host":"`+host+`","port":1}`)
}

func hostsIn(instances []registry.ServiceInstance) string {
	return strings.Join(hostsOf(instances), " ")
}

func keepLast(cfg *config) { cfg.KeepLast = true }

func TestListenerHearsOfWhatChangedSinceItWasReturned(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		putIn(e, "a", "10.0.0.1")
		putIn(e, "b", "10.0.0.9")
		assert.Equal(t, "10.0.0.1", hostsIn(d.GetInstances("a")))
		l := newFollower("a")
		require.NoError(t, d.AddListener(l))
		assert.Empty(t, l.since(), "it was returned that")
		d.tellAgain()
		assert.Equal(t, []string{"a: 10.0.0.1"}, l.since())
		putIn(e, "a", "10.0.0.2")
		assert.Equal(t, []string{"a: 10.0.0.1 10.0.0.2"}, l.since())
		putIn(e, "a", "10.0.0.2")
		assert.Empty(t, l.since(), "it is the same")

		l.names.Add("b")
		require.NoError(t, d.AddListener(l))
		assert.Equal(t, []string{"b: 10.0.0.9"}, l.since(), "nobody has asked for it")
		d.RemoveListener(l)
		putIn(e, "a", "10.0.0.3")
		assert.Empty(t, l.since())

		assert.Equal(t, "10.0.0.1 10.0.0.2 10.0.0.3", hostsIn(d.GetInstances("a")))
		time.Sleep(time.Minute)
		late := newFollower("a")
		require.NoError(t, d.AddListener(late))
		assert.Equal(t, []string{"a: 10.0.0.1 10.0.0.2 10.0.0.3"}, late.since(), "what it was returned is old")
	})
}

func TestListenerThatKeepsTheLastInstancesIsNotToldOfNone(t *testing.T) {
	with(t, keepLast, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		putIn(e, "a", "10.0.0.1")
		assert.Equal(t, "10.0.0.1", hostsIn(d.GetInstances("a")))
		l := newFollower("a")
		require.NoError(t, d.AddListener(l))
		assert.Empty(t, l.since())
		e.Delete("/services/a/10.0.0.1:1")
		assert.Empty(t, l.since())
		d.tellAgain()
		assert.Empty(t, l.since())
		putIn(e, "a", "10.0.0.2")
		assert.Equal(t, []string{"a: 10.0.0.2"}, l.since())
	})
}

func TestListenerMayRemoveItselfAndDestroyFromInsideAnEvent(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		l := newFollower("a")
		l.then = func() error {
			d.RemoveListener(l)
			return d.Destroy()
		}
		require.NoError(t, d.AddListener(l))
		assert.Equal(t, []string{"a: "}, l.since())
		assert.Empty(t, d.GetInstances("a"))
		assert.ErrorIs(t, d.AddListener(l), extension.ErrClosed)
	})
}

func TestWithoutEtcdThereAreNoInstancesAndTheyFollow(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		putIn(e, "a", "10.0.0.1")
		e.Away(true)
		assert.Empty(t, d.GetInstances("a"))
		l := newFollower("a")
		require.NoError(t, d.AddListener(l))
		assert.Empty(t, l.since())
		e.Away(false)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"a: 10.0.0.1"}, l.since())
	})
}

// A view that is kept for a while may be behind etcd, if nothing is heard of it.
func TestWhoAsksAgainIsReturnedWhatEtcdHas(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		putIn(e, "a", "10.0.0.1")
		assert.Equal(t, "10.0.0.1", hostsIn(d.GetInstances("a")))
		assert.Equal(t, "10.0.0.1", hostsIn(d.GetInstances("a")))
		e.PutSilently("/services/a/10.0.0.2:1", `{"host":"10.0.0.2","port":1}`)
		assert.Equal(t, "10.0.0.1 10.0.0.2", hostsIn(d.GetInstances("a")))
		e.Away(true)
		assert.NotEmpty(t, d.GetInstances("a"), "what is known")
	})
}

func TestReadersOfAnApplicationLetGoOfItTogether(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, d *Discovery) {
		putIn(e, "a", "10.0.0.1")
		changed := make(chan struct{}, 1)
		first, err := d.Open("a", changed)
		require.NoError(t, err)
		second, err := d.Open("a", changed)
		require.NoError(t, err)
		synctest.Wait()
		assert.True(t, first.Settled())
		assert.True(t, second.IsInstance("10.0.0.1:1"))
		assert.Equal(t, 1, e.Watches())
		first.Close()
		first.Close()
		synctest.Wait()
		assert.Equal(t, 1, e.Watches())
		second.Close()
		synctest.Wait()
		assert.Zero(t, e.Watches())

		e.Away(true)
		third, err := d.Open("b", changed)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.True(t, third.Settled(), "without etcd nothing is known for now")
	})
}
