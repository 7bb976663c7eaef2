// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// viewOf reads keys of the form /p/<encoded URL>: providers are told apart by their
// address, and a URL of another protocol is not asked for.
func viewOf() View {
	return View{
		Read: func(key string) (*common.URL, error) {
			raw, err := url.QueryUnescape(strings.TrimPrefix(key, "/p/"))
			if err != nil {
				return nil, err
			}
			u, err := common.NewURL(raw)
			if err != nil || u.Protocol == "other" {
				return nil, err
			}
			return u, nil
		},
		ID: func(_ string, u *common.URL) string { return u.Address() },
	}
}

// keyOf is the key of a provider: "1" or, with a weight, "1?weight=5".
func keyOf(provider string) string {
	host, query, _ := strings.Cut(provider, "?")
	return "/p/" + url.QueryEscape("tri://10.0.0."+host+":20000/greeter?"+query)
}

// told is a listener: what it knows, and what it was told.
type told struct {
	known map[string]string // weights by address
	calls []string
	panic string // over a provider at this address
}

func (l *told) Notify(e *registry.ServiceEvent) {
	l.calls = append(l.calls, fmt.Sprintf("%v %s", e.Action, e.Service.Ip[len("10.0.0."):]))
	l.take(e)
}

func (l *told) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	l.calls = append(l.calls, fmt.Sprintf("all %d", len(events)))
	l.known = map[string]string{}
	for _, e := range events {
		l.take(e)
	}
}

func (l *told) take(e *registry.ServiceEvent) {
	host := e.Service.Ip[len("10.0.0."):]
	if host == l.panic {
		panic("over " + host)
	}
	if e.Action == remoting.EventTypeDel {
		delete(l.known, e.Key())
	} else {
		l.known[e.Key()] = e.Service.GetParam("weight", "")
	}
}

func (l *told) since() []string {
	synctest.Wait()
	calls := l.calls
	l.calls = nil
	return calls
}

func (l *told) hosts() string {
	synctest.Wait()
	var hosts []string
	for address := range l.known {
		hosts = append(hosts, strings.TrimSuffix(strings.TrimPrefix(address, "10.0.0."), ":20000"))
	}
	slices.Sort(hosts)
	return strings.Join(hosts, " ")
}

// saved is a Cache of one subscription.
type saved struct {
	keys []string
	ok   bool
	n    int // saves
}

func (s *saved) Load() ([]string, bool) { return s.keys, s.ok }

func (s *saved) Save(keys func() []string) { s.keys, s.ok, s.n = keys(), true, s.n+1 }

func subscribe(h *Hub, v View) (*Subscription, *told) {
	l := &told{known: map[string]string{}}
	return h.Subscribe([]string{"/p/"}, v, l), l
}

func TestListenerIsToldTheListAndThenEachChange(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put(keyOf("1"), "")
		e.Put("/p/"+url.QueryEscape("other://10.0.0.9:1/greeter"), "")
		e.Put("/p/%zz", "")
		s, l := subscribe(h, viewOf())
		require.NoError(t, s.Load(t.Context()))
		assert.Equal(t, []string{"all 1"}, l.since())
		s.Start(time.Second)
		s.Start(time.Second)
		assert.Empty(t, l.since())

		e.Put(keyOf("2"), "")
		e.Put(keyOf("2?weight=5"), "") // registered again with another parameter
		e.Delete(keyOf("2"))
		e.Delete(keyOf("1"))
		assert.Equal(t, "2", l.hosts())
		assert.Equal(t, "5", l.known["10.0.0.2:20000"])
		l.since()
		e.Delete(keyOf("2?weight=5"))
		assert.Equal(t, []string{"delete 2"}, l.since())

		for i := range 2 * notifyAllAbove { // at once
			e.PutSilently(keyOf(fmt.Sprint(i)), "")
		}
		e.Put(keyOf("100"), "")
		assert.Equal(t, []string{fmt.Sprintf("all %d", 2*notifyAllAbove+1)}, l.since())
		s.Again()
		assert.Equal(t, []string{fmt.Sprintf("all %d", 2*notifyAllAbove+1)}, l.since())
		s.Close()
		s.Close()
		e.Put(keyOf("101"), "")
		s.Again()
		assert.Empty(t, l.since())
	})
}

func TestListenerThatPanicsOverOneIsToldOfTheOthers(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		for _, host := range []string{"1", "2", "3"} {
			e.Put(keyOf(host), "")
		}
		s, l := subscribe(h, viewOf())
		l.panic = "2"
		s.Start(time.Second)
		assert.Equal(t, "1 3", l.hosts())
		e.Put(keyOf("4"), "")
		assert.Equal(t, "1 3 4", l.hosts())
	})
}

func TestChangeThatCannotBeToldByItselfIsAList(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		v := viewOf()
		v.Whole = func(u *common.URL) bool { return u.GetParam("weight", "") != "" }
		s, l := subscribe(h, v)
		s.Start(time.Second)
		assert.Equal(t, []string{"all 0"}, l.since())
		e.Put(keyOf("1"), "")
		assert.Equal(t, []string{"add 1"}, l.since())
		e.Put(keyOf("2?weight=5"), "")
		assert.Equal(t, []string{"all 2"}, l.since())
	})
}

func TestLastOfSomeAreKeptUntilThereIsOneAgain(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		v := viewOf()
		v.KeepLast = func(string) bool { return true }
		e.Put(keyOf("1"), "")
		e.Put(keyOf("2"), "")
		s, l := subscribe(h, v)
		s.Start(time.Second)
		e.Delete(keyOf("1"))
		assert.Equal(t, "2", l.hosts())
		e.Delete(keyOf("2"))
		assert.Equal(t, "2", l.hosts())
		e.Put(keyOf("3"), "")
		assert.Equal(t, "3", l.hosts())
	})
}

func TestCacheIsWhatAListenerHasWithoutEtcdAndEtcdWhatItHasAfterwards(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put(keyOf("2"), "")
		e.Put(keyOf("3"), "")
		e.Away(true)
		v, cache := viewOf(), &saved{keys: []string{keyOf("1"), keyOf("2")}, ok: true}
		v.Cache = cache
		s, l := subscribe(h, v)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, s.Load(ctx))
		require.True(t, s.LoadCached())
		require.False(t, s.LoadCached(), "once")
		assert.Equal(t, "1 2", l.hosts())
		assert.Zero(t, cache.n)
		s.Start(time.Second)
		e.Away(false)
		time.Sleep(20 * time.Second)
		assert.Equal(t, "2 3", l.hosts())
		assert.ElementsMatch(t, []string{keyOf("2"), keyOf("3")}, cache.keys)
		assert.Equal(t, 1, cache.n)
		e.Put(keyOf("4"), "")
		assert.Equal(t, "2 3 4", l.hosts())
		assert.Len(t, cache.keys, 3)
	})
}

// A list that etcd confirms is one that etcd has told.
func TestCachedListThatEtcdConfirmsIsSaved(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put(keyOf("1"), "")
		e.Away(true)
		v, cache := viewOf(), &saved{keys: []string{keyOf("1")}, ok: true}
		v.Cache = cache
		s, l := subscribe(h, v)
		s.Start(time.Second)
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"all 1"}, l.since())
		assert.Zero(t, cache.n)
		e.Away(false)
		time.Sleep(20 * time.Second)
		assert.Empty(t, l.since(), "there is no news")
		assert.Equal(t, 1, cache.n)
	})
}

func TestThereIsNoCacheToFallBackOn(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Away(true)
		s, l := subscribe(h, viewOf())
		assert.False(t, s.LoadCached())
		v := viewOf()
		v.Cache = &saved{}
		empty, _ := subscribe(h, v)
		assert.False(t, empty.LoadCached())
		s.Close()
		assert.ErrorIs(t, s.Load(canceled(t)), context.Canceled)
		assert.Empty(t, l.since())
	})
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestSubscriptionThatEndsInsideADeliveryEnds(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		l := &ending{}
		l.Subscription = h.Subscribe([]string{"/p/"}, viewOf(), l)
		l.Start(time.Second)
		e.Put(keyOf("1"), "")
		e.Put(keyOf("2"), "")
		synctest.Wait()
		assert.Equal(t, 1, l.calls)
	})
}

// ending is a listener that unsubscribes when it is told something.
type ending struct {
	*Subscription
	calls int
}

func (l *ending) Notify(*registry.ServiceEvent) { l.end() }

func (l *ending) NotifyAll([]*registry.ServiceEvent, func()) { l.end() }

func (l *ending) end() {
	l.calls++
	l.Close()
}

func TestListenerIsToldAgainOfWhatItKnows(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		for _, host := range []string{"1", "2", "3"} {
			e.Put(keyOf(host), "")
		}
		s, l := subscribe(h, viewOf())
		s.Start(time.Second)
		require.Equal(t, "1 2 3", l.hosts())
		l.since()
		clear(l.known)
		s.TellAgain([]string{"10.0.0.1:20000", "10.0.0.3:20000", "10.0.0.9:20000"})
		s.TellAgain([]string{"10.0.0.3:20000"})
		assert.Equal(t, "1 3", l.hosts())
		assert.Len(t, l.since(), 2, "each once")
		e.Delete(keyOf("1"))
		l.hosts()
		l.since()
		s.TellAgain([]string{"10.0.0.1:20000"})
		assert.Empty(t, l.since(), "it is gone")
		s.Close()
		s.TellAgain([]string{"10.0.0.3:20000"})
		assert.Empty(t, l.since())
		assert.Empty(t, s.again)
	})
}
