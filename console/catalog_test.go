// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/require"
)

const greeter = "com.example.Greeter"

// clock is set by hand.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// event is one as the registry makes them: its key is the URL.
func event(t testing.TB, action remoting.EventType, raw string) *registry.ServiceEvent {
	t.Helper()
	u, err := common.NewURL(raw)
	require.NoError(t, err)
	if u.Protocol == "override" && u.Port == "" {
		u.Ip, u.Port = u.Location, "0" // as the registry does
	}
	return &registry.ServiceEvent{Action: action, Service: u, KeyFunc: func(*common.URL) string { return raw }}
}

func added(t testing.TB, raw string) *registry.ServiceEvent {
	t.Helper()
	return event(t, remoting.EventTypeAdd, raw)
}

func deleted(t testing.TB, raw string) *registry.ServiceEvent {
	t.Helper()
	return event(t, remoting.EventTypeDel, raw)
}

// provider is the URL of a greeter.
func provider(address, params string) string {
	return "tri://" + address + "/" + greeter + "?interface=" + greeter + params
}

func consumer(address string) string {
	return "consumer://" + address + "/" + greeter + "?category=consumers&interface=" + greeter
}

func override(address, params string) string {
	return "override://" + address + "/" + greeter + "?category=configurators&dynamic=false&interface=" + greeter + params
}

func addresses(rows []row) []string {
	list := []string{}
	for _, r := range rows {
		list = append(list, r.Address)
	}
	return list
}

func read(c *catalog) snapshot {
	s, _ := c.snapshot()
	return s
}

func TestCatalogFollowsSingleEvents(t *testing.T) {
	c := newCatalog(newClock().now)
	c.Notify(added(t, provider("10.0.0.2:20000", "")))
	c.Notify(added(t, provider("10.0.0.1:20000", "")))
	c.Notify(added(t, consumer("10.0.0.9")))
	require.Equal(t, []string{"10.0.0.1:20000", "10.0.0.2:20000"}, addresses(read(c).services[greeter].Providers))
	require.Equal(t, []string{"10.0.0.9"}, addresses(read(c).services[greeter].Consumers))

	c.Notify(deleted(t, provider("10.0.0.1:20000", "")))
	c.Notify(deleted(t, provider("10.0.0.3:20000", ""))) // never heard of
	require.Equal(t, []string{"10.0.0.2:20000"}, addresses(read(c).services[greeter].Providers))

	c.Notify(deleted(t, provider("10.0.0.2:20000", "")))
	c.Notify(deleted(t, consumer("10.0.0.9")))
	require.Empty(t, read(c).services)
}

func TestListReplacesWhatWasKnownAndSparesWhatIsTheSame(t *testing.T) {
	now := newClock()
	c := newCatalog(now.now)
	require.False(t, read(c).loaded, "nothing has been told yet")
	c.NotifyAll([]*registry.ServiceEvent{added(t, provider("10.0.0.1:20000", "")), added(t, provider("10.0.0.2:20000", "")),
		added(t, "tri://10.0.0.1:20000/com.example.Other?interface=com.example.Other")}, func() {})
	before := read(c)
	require.True(t, before.loaded)

	now.Time = now.Add(time.Minute)
	told := false
	c.NotifyAll([]*registry.ServiceEvent{added(t, provider("10.0.0.2:20000", "")), added(t, provider("10.0.0.3:20000", "")),
		added(t, "tri://10.0.0.1:20000/com.example.Other?interface=com.example.Other")}, func() { told = true })
	require.True(t, told, "the callback has to be called")
	after := read(c)
	require.Equal(t, []string{"10.0.0.2:20000", "10.0.0.3:20000"}, addresses(after.services[greeter].Providers))
	require.Equal(t, before.services[greeter].Providers[1], after.services[greeter].Providers[0], "its ID and time stay")
	require.Equal(t, now.UnixMilli(), after.services[greeter].Providers[1].Seen)
	require.Same(t, before.services["com.example.Other"], after.services["com.example.Other"], "it need not be sent again")

	c.NotifyAll(nil, func() {})
	require.Empty(t, read(c).services)
	require.True(t, read(c).loaded)
}

func TestUpdateKeepsPlaceAndTime(t *testing.T) {
	now := newClock()
	c := newCatalog(now.now)
	c.Notify(added(t, provider("10.0.0.1:20000", "")))
	before := read(c).services[greeter].Providers[0]
	now.Time = now.Add(time.Hour)

	update := event(t, remoting.EventTypeUpdate, provider("10.0.0.1:20000", "&weight=7"))
	update.KeyFunc = func(*common.URL) string { return provider("10.0.0.1:20000", "") }
	c.Notify(update)
	after := read(c).services[greeter].Providers
	require.Len(t, after, 1)
	require.Equal(t, before.ID, after[0].ID)
	require.Equal(t, before.Seen, after[0].Seen)
	require.Equal(t, "7", after[0].Weight)
}

func TestSnapshotSaysWhenThereIsAnother(t *testing.T) {
	now := newClock()
	c := newCatalog(now.now)
	_, changed := c.snapshot()
	requireOpen := func() {
		t.Helper()
		select {
		case <-changed:
			t.Fatal("nothing has changed")
		default:
		}
	}
	requireOpen()
	c.setEtcd(answers, "")
	<-changed
	since := read(c).etcd.Since

	_, changed = c.snapshot()
	now.Time = now.Add(time.Minute)
	c.setEtcd(answers, "") // as before
	requireOpen()
	require.Equal(t, since, read(c).etcd.Since)
	c.Notify(added(t, provider("10.0.0.1:20000", "")))
	<-changed

	c.setEtcd(refuses, "etcdserver: permission denied")
	require.Equal(t, etcdState{Status: refuses, Since: now.UnixMilli(), Reason: "etcdserver: permission denied"}, read(c).etcd)
}

func TestDifferenceIsWhatAPageHasToBeTold(t *testing.T) {
	c := newCatalog(newClock().now)
	c.NotifyAll([]*registry.ServiceEvent{added(t, provider("10.0.0.1:20000", "")),
		added(t, "tri://10.0.0.1:20000/a?interface=a"), added(t, "tri://10.0.0.1:20000/b?interface=b")}, func() {})
	first := read(c)
	c.Notify(deleted(t, "tri://10.0.0.1:20000/a?interface=a"))
	c.Notify(added(t, provider("10.0.0.2:20000", "")))
	second := read(c)

	names := func(m message) (changed []string) {
		for _, s := range m.Changed {
			changed = append(changed, s.Name)
		}
		return changed
	}
	require.Equal(t, []string{"a", "b", greeter}, names(difference(snapshot{}, first)))
	m := difference(first, second)
	require.Equal(t, []string{greeter}, names(m))
	require.Equal(t, []string{"a"}, m.Gone)
	require.Empty(t, difference(second, second).Changed)
}

func FuzzWhateverIsRegisteredCanBeShown(f *testing.F) {
	f.Add("tri://10.0.0.1:20000/com.example.Greeter?interface=com.example.Greeter&weight=-1&timestamp=99999999999999999999", "providers")
	f.Add("dubbo://user:s3cr3t-of-fuzz@10.0.0.1/x?password=s3cr3t-of-fuzz&backup=zk://u:s3cr3t-of-fuzz@h", "consumers")
	f.Add("override://0.0.0.0/x?disabled=true&~a=b&configVersion=v3.0&side=provider", "configurators")
	f.Add("override://0.0.0.0:0/?configVersion=2.7&providerAddresses=*", "configurators")
	f.Add("route://0.0.0.0/*?rule=%2525%253D>&name=<script>", "routers")
	f.Add("://:?&=&\x00\xff=\xff", "routers")
	f.Fuzz(func(t *testing.T, raw, category string) {
		u, err := common.NewURL(raw, common.WithParamsValue("category", category))
		if err != nil {
			return
		}
		c := newCatalog(newClock().now)
		notify := func(key string, u *common.URL) {
			c.Notify(&registry.ServiceEvent{Service: u, KeyFunc: func(*common.URL) string { return key }})
		}
		notify("fuzzed", u)
		p, err := common.NewURL(provider("10.0.0.1:20000", ""))
		require.NoError(t, err)
		p.SetParam("interface", u.Service())
		notify("provider", p) // for overrides to change

		encoded, err := json.Marshal(difference(snapshot{}, read(c)))
		require.NoError(t, err)
		require.NotContains(t, string(encoded), "\n", "the message is one line")
		if u.Password == "s3cr3t-of-fuzz" && strings.Count(raw, u.Password) == 1 {
			require.NotContains(t, string(encoded), u.Password)
		}
		require.False(t, slices.Contains(encoded, '<'), "nothing looks like a tag")
	})
}
