// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	timeout = time.Minute // the machine is busy with other tests
	etcdtest.Main(m)
}

var usual = keys.Layout{Root: "/dubbo", Services: "/services", Config: "/dubbo/config"}

func read(t *testing.T, client *clientv3.Client, name string, application bool) Line {
	t.Helper()
	line, err := Read(t.Context(), client, Subject{Layout: usual, Name: name, Application: application}, &Clock{})
	require.NoError(t, err)
	return line
}

// said are the entries, the oldest first, in a line each.
func said(l Line) (all []string) {
	for i := len(l.Entries) - 1; i >= 0; i-- {
		e := l.Entries[i]
		text := strings.TrimSpace(fmt.Sprintf("%s %s %s", e.What, e.Key.Kind, e.End))
		for _, c := range e.Changes {
			text += fmt.Sprintf(" [%s: %s -> %s]", c.Name, c.From, c.To)
		}
		all = append(all, text)
	}
	return all
}

func grant(t *testing.T, client *clientv3.Client) clientv3.OpOption {
	t.Helper()
	lease, err := client.Grant(t.Context(), 600)
	require.NoError(t, err)
	return clientv3.WithLease(lease.ID)
}

func remove(t *testing.T, client *clientv3.Client, key string) {
	t.Helper()
	_, err := client.Delete(t.Context(), key)
	require.NoError(t, err)
}

func urlKey(category, raw string) string {
	return "/dubbo/a.B/" + category + "/" + url.QueryEscape(raw)
}

func TestWhatBecameOfAService(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	first, second := grant(t, client), grant(t, client)
	old := urlKey("providers", "tri://10.0.0.1:1/a.B?application=shop&weight=100&timestamp=1700000000")
	renewed := urlKey("providers", "tri://10.0.0.1:1/a.B?application=shop&weight=200&timestamp=1700000009")
	other := urlKey("providers", "tri://10.0.0.2:1/a.B?application=shop")
	testkit.Put(t, client, old, "1", first)
	testkit.Put(t, client, other, "2", second)
	testkit.Put(t, client, urlKey("consumers", "consumer://10.0.0.3/a.B?application=front"), "2", second)
	testkit.Put(t, client, "/dubbo/a.Bc/providers/x", "") // of others, that begin alike
	testkit.Put(t, client, "/dubbo/mapping/a.Bc", "x")
	testkit.Put(t, client, "/dubbo/config/dubbo/a.B.C.condition-router", "x")
	_, err := client.Txn(t.Context()).Then(clientv3.OpDelete(old), clientv3.OpPut(renewed, "1", first)).Commit()
	require.NoError(t, err)
	testkit.Put(t, client, renewed, "1", first)
	override := urlKey("configurators", "override://0.0.0.0/a.B?weight=3")
	testkit.Put(t, client, override, "")
	remove(t, client, override)
	testkit.Put(t, client, "/dubbo/mapping/a.B", "shop")
	testkit.Put(t, client, "/dubbo/mapping/a.B", "shop,inn")
	for _, key := range []string{"/dubbo/config/dubbo/a.B.condition-router", "/dubbo/config/dubbo/a.B:1.0.configurators"} {
		testkit.Put(t, client, key, "enabled: true")
	}
	testkit.Put(t, client, "/dubbo/config/dubbo/a.B.condition-router", "enabled: false")
	testkit.Put(t, client, urlKey("providers", "nonsense"), "")
	remove(t, client, renewed) // by hand: its lease lives
	revoke(t, client, other)

	line := read(t, client, "a.B", false)
	require.Equal(t, []string{
		"came provider", "came provider", "came consumer",
		"changed provider [weight: 100 -> 200]", "again provider",
		"came configurator [weight:  -> 3]", "left configurator",
		"came mapping [applications:  -> shop]", "changed mapping [applications: shop -> shop, inn]",
		"came config", "came config", "changed config",
		"came provider",
		"left provider deleted",
	}, said(line)[:14])
	require.ElementsMatch(t, []string{"left provider with-lease", "left consumer with-lease"}, said(line)[14:])
	require.EqualValues(t, 1, line.From)
	require.False(t, line.More)
	require.EqualValues(t, 1700000009, line.Entries[len(line.Entries)-4].Started)
	require.Error(t, line.Entries[3].Key.Err)
}

// revoke ends the lease that a key is under.
func revoke(t *testing.T, client *clientv3.Client, key string) {
	t.Helper()
	got, err := client.Get(t.Context(), key)
	require.NoError(t, err)
	_, err = client.Revoke(t.Context(), clientv3.LeaseID(got.Kvs[0].Lease))
	require.NoError(t, err)
}

func TestWhatBecameOfAnApplication(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	lease := grant(t, client)
	instance := func(tag, revision string) string {
		return fmt.Sprintf(`{"host":"10.0.0.1","port":1,"tag":%q,"metadata":{"dubbo.metadata.revision":%q,"timestamp":"1700000000000"}}`, tag, revision)
	}
	const key = "/services/shop/10.0.0.1:1"
	testkit.Put(t, client, "/dubbo/mapping/a.B", "shop")
	testkit.Put(t, client, "/dubbo/mapping/a.B", "shop,inn") // which is of inn
	testkit.Put(t, client, "/dubbo/mapping/a.C", "inn")
	testkit.Put(t, client, "/dubbo/shop/r1", `{"app":"shop","services":{"x":{"name":"a.B"}}}`)
	testkit.Put(t, client, key, instance("", "r1"), lease)
	testkit.Put(t, client, "/services/shopping/10.0.0.1:1", instance("", "r1"), lease)
	testkit.Put(t, client, key, instance("gray", "r2"), lease)
	testkit.Put(t, client, "/dubbo/config/dubbo/shop.tag-router", "tags: []")
	remove(t, client, "/dubbo/config/dubbo/shop.tag-router")
	testkit.Put(t, client, "/dubbo/mapping/a.B", "inn")
	remove(t, client, key)
	testkit.Put(t, client, key, instance("gray", "r2"), lease)
	revoke(t, client, key)
	require.Equal(t, []string{
		"came mapping", "came metadata", "came instance",
		"changed instance [dubbo.metadata.revision: r1 -> r2] [tag:  -> gray]",
		"came config", "left config", "left mapping",
		"left instance deleted", // its lease was used after that
		"came instance", "left instance with-lease",
	}, said(read(t, client, "shop", true)))
	require.Equal(t, []string{"came mapping", "came mapping"}, said(read(t, client, "inn", true)))
	require.Empty(t, said(read(t, client, "nobody", true)))
}

func TestWhatEtcdHasForgottenIsSaid(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	key := urlKey("providers", "tri://10.0.0.1:1/a.B?application=shop")
	for range 10 {
		testkit.Put(t, client, key, "1")
	}
	now, err := client.Get(t.Context(), "x")
	require.NoError(t, err)
	remove(t, client, key)
	_, err = client.Compact(t.Context(), now.Header.Revision)
	require.NoError(t, err)
	line := read(t, client, "a.B", false)
	require.Equal(t, []string{"left provider"}, said(line))
	require.Equal(t, "10.0.0.1:1", line.Entries[0].Key.URL.Address(), "it is known what it was")
	require.Equal(t, now.Header.Revision, line.Compacted)
	require.Equal(t, now.Header.Revision+1, line.From)

	// Up to the last.
	last, err := client.Get(t.Context(), "x")
	require.NoError(t, err)
	_, err = client.Compact(t.Context(), last.Header.Revision)
	require.NoError(t, err)
	line = read(t, client, "a.B", false)
	require.Empty(t, line.Entries)
	require.Equal(t, last.Header.Revision, line.Compacted)
}

func TestTimesAreThoseOfTheClock(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	var clock Clock
	subject := Subject{Layout: usual, Name: "a.B"}
	testkit.Put(t, client, urlKey("providers", "tri://10.0.0.1:1/a.B"), "")
	_, err := Read(t.Context(), client, subject, &clock)
	require.NoError(t, err)
	between := time.Now()
	testkit.Put(t, client, urlKey("providers", "tri://10.0.0.2:1/a.B"), "")
	line, err := Read(t.Context(), client, subject, &clock)
	require.NoError(t, err)
	require.Len(t, line.Entries, 2)
	newer, older := line.Entries[0], line.Entries[1]
	require.True(t, older.After.IsZero(), "nobody had looked before")
	require.True(t, older.Before.Before(between))
	require.True(t, newer.After.Before(between))
	require.True(t, newer.Before.After(between))
}

func TestWhatMayNotBeReadIsLeftOut(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.1:1", `{"host":"10.0.0.1","port":1}`)
	testkit.Put(t, etcd.Client(), "/dubbo/shop/r1", `{"app":"shop"}`)
	testkit.EnableAuth(t, etcd, "console", "/dubbo/")
	client := etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "console", testkit.Password })
	line := read(t, client, "shop", true)
	require.Equal(t, []string{"came metadata"}, said(line))
	require.Equal(t, []string{"/services/shop/"}, line.Refused)
}

// However much there is, no more is read and told than is said.
func TestTheLastOfManyAreTold(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	client := etcd.Client()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const instances = 10_000
	value := func(i, version int) (key, value string) {
		return fmt.Sprintf("/services/fleet/10.0.%d.%d:1", i/250, i%250), fmt.Sprintf(`{"host":"10.0.%d.%d","port":1,"metadata":{"version":"%d","filler":%q}}`, i/250, i%250, version, strings.Repeat("x", 600))
	}
	for i := 0; i < instances; {
		var ops []clientv3.Op
		for ; len(ops) < 100; i++ {
			ops = append(ops, clientv3.OpPut(value(i, 1)))
		}
		_, err := client.Txn(ctx).Then(ops...).Commit()
		require.NoError(t, err)
	}
	begin := time.Now()
	line := read(t, client, "fleet", true)
	t.Logf("%d entries of %d revisions with %d keys in %v", len(line.Entries), line.To-line.From+1, instances, time.Since(begin))
	require.Len(t, line.Entries, MostEntries)
	require.True(t, line.More)

	for i := range 12_000 { // of one of them, and of others in etcd
		key := "/somebody/else"
		if i%100 == 0 {
			key = "/services/fleet/10.0.0.0:1"
		}
		_, v := value(0, i)
		testkit.Put(t, client, key, v)
	}
	begin = time.Now()
	line = read(t, client, "fleet", true)
	t.Logf("%d entries of %d revisions in %v", len(line.Entries), line.To-line.From+1, time.Since(begin))
	require.EqualValues(t, windows[len(windows)-1], line.To-line.From+1)
	require.Len(t, line.Entries, 100)
	require.Equal(t, "version", line.Entries[0].Changes[0].Name)
	require.EqualValues(t, 0, line.Compacted)
}

func TestAnEtcdThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	client := etcd.Client()
	etcd.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := Read(ctx, client, Subject{Layout: usual, Name: "a.B"}, &Clock{})
	require.Error(t, err)
}

func FuzzWhateverIsInEtcdIsAnEntry(f *testing.F) {
	const long = "/dubbo/a.B/providers/tri%3A%2F%2F10.0.0.1%3A1%2Fa.B%3Ftimestamp%3D1%26weight%3D2"
	f.Add(long, "", long, "", int64(1), true)
	f.Add("/services/a.B/h:1", `{"host":"h","port":1,"metadata":{"timestamp":"x"}}`, "/services/a.B/h:1", `{"host":"h","port":1,"metadata":null,"enabled":false}`, int64(0), true)
	f.Add("/dubbo/mapping/a.B", ",,", "/dubbo/mapping/a.B", "a.B", int64(0), false)
	f.Add("/dubbo/a.B/r", `{"services":{"x":{}}}`, "/dubbo/config/dubbo/a.B.x", "", int64(7), false)
	f.Fuzz(func(t *testing.T, name, value, other, before string, lease int64, application bool) {
		s := Subject{Layout: usual, Name: "a.B", Application: application}
		put := &clientv3.Event{Type: mvccpb.PUT, Kv: &mvccpb.KeyValue{Key: []byte(name), Value: []byte(value), ModRevision: 2, CreateRevision: 1, Lease: lease}}
		changed := &clientv3.Event{Type: mvccpb.PUT, Kv: put.Kv, PrevKv: &mvccpb.KeyValue{Key: []byte(name), Value: []byte(before), Lease: lease}}
		gone := &clientv3.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(other), ModRevision: 2}, PrevKv: &mvccpb.KeyValue{Key: []byte(other), Value: []byte(before), Lease: lease}}
		h := history{subject: s, to: 2}
		h.take([]*clientv3.Event{gone, put, changed})
		for _, e := range entries(s, h.events()) {
			require.NotEmpty(t, e.What)
			require.NotEmpty(t, e.Key.Name)
		}
	})
}
