// SPDX-License-Identifier: Apache-2.0

package garbage

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	etcdtest.Main(m)
}

var usual = keys.Layout{Root: "/dubbo", Services: "/services", Config: "/dubbo/config"}

// told keeps what becomes of pieces, as "outcome key".
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) tell(o Outcome, p *Piece, _ string) {
	if o == Left { // and so nothing becomes of it
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(o)+" "+p.Key)
}

func (l *told) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// as connects to the same etcd, as the same user, as a client.
func as(client *clientv3.Client) Dial {
	return func(ctx context.Context, options ...grpc.DialOption) (*clientv3.Client, error) {
		to := target.Target{Address: strings.Join(client.Endpoints(), ","), Username: client.Username, Password: client.Password}
		return to.Dial(ctx, options...)
	}
}

func collect(t *testing.T, client *clientv3.Client, o Options) (lines []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var l told
	o.Tell = l.tell
	err = Collect(ctx, as(client), usual, o)
	return l.all(), err
}

func instance(application, address, revision string) (key, value string) {
	return "/services/" + application + "/" + address + ":20000", fmt.Sprintf(
		`{"serviceName":%q,"host":%q,"port":20000,"metadata":{"dubbo.metadata.revision":%q}}`, application, address, revision)
}

func metadata(application, revision string) (key, value string) {
	return "/dubbo/" + application + "/" + revision, fmt.Sprintf(`{"app":%q,"revision":%q,"services":{}}`, application, revision)
}

// scene is of what is alive, and what is left over, which is returned.
func scene(t *testing.T, client *clientv3.Client) (garbage []string) {
	t.Helper()
	put := func(key, value string) string {
		testkit.Put(t, client, key, value)
		return key
	}
	put(instance("shop", "10.0.0.1", "r2"))
	put(metadata("shop", "r2"))
	put("/dubbo/mapping/a.Alive", "shop")
	put("/dubbo/mapping/a.Interface", "interface-only")
	put("/dubbo/a.Interface/providers/"+url.QueryEscape("tri://10.0.0.9:1/a.Interface?application=interface-only"), "")
	put("/dubbo/a.Interface", "")
	put("/dubbo/config/dubbo/gone.tag-router", "tags: []")
	put("/dubbo/other/thing", `{"whatever":1}`) // somebody else's
	put("/dubbo/metadata/a.B/1.0/provider/x", "{}")
	return []string{
		put("/dubbo/a.Empty", ""),
		put(metadata("gone", "r9")),
		put("/dubbo/mapping/a.Both", "shop,gone"),
		put("/dubbo/mapping/a.Gone", "gone"),
		put(metadata("shop", "r1")),
	}
}

func TestADryRunShowsWhatIsLeftOverAndDeletesNothing(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	garbage := scene(t, client)
	before := testkit.Values(t, client, "/")
	lines, err := collect(t, client, Options{})
	require.NoError(t, err)
	var want []string
	for _, key := range garbage {
		want = append(want, "found "+key)
	}
	require.ElementsMatch(t, want, lines)
	require.Equal(t, before, testkit.Values(t, client, "/"))
}

func TestOnlyWhatIsLeftOverIsDeleted(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	garbage := scene(t, client)
	want := testkit.Values(t, client, "/")
	for _, key := range garbage {
		delete(want, key)
	}
	want["/dubbo/mapping/a.Both"] = "shop"
	lines, err := collect(t, client, Options{Delete: true})
	require.NoError(t, err)
	require.Len(t, lines, len(garbage))
	require.Equal(t, want, testkit.Values(t, client, "/"))

	lines, err = collect(t, client, Options{Delete: true})
	require.NoError(t, err)
	require.Empty(t, lines, "there is nothing left")
}

func TestWhatComesAliveBeforeItIsDeletedIsKept(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	scene(t, client)
	var once sync.Once
	var before map[string]string
	lines, err := collect(t, client, Options{Delete: true, beforeDelete: func() {
		once.Do(func() { // all of it is needed, in the last moment
			key, value := instance("gone", "10.0.0.2", "r9")
			testkit.Put(t, client, key, value)
			key, value = instance("shop", "10.0.0.3", "r1")
			testkit.Put(t, client, key, value)
			testkit.Put(t, client, "/dubbo/a.Empty/consumers/"+url.QueryEscape("consumer://10.0.0.4/a.Empty"), "")
			before = testkit.Values(t, client, "/")
		})
	}})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"kept /dubbo/a.Empty", "kept /dubbo/gone/r9", "kept /dubbo/mapping/a.Both", "kept /dubbo/mapping/a.Gone", "kept /dubbo/shop/r1",
	}, lines)
	require.Equal(t, before, testkit.Values(t, client, "/"))
}

// A process reads the mapping, finds its name in it, and registers its instance a moment
// after the name has been deleted. It is one of this registry; another one, of which the
// process never looks again, is stood in for by a bare key.
func TestAProcessThatStartsMeanwhileIsFound(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	client := etcd.Client()
	key, value := instance("other", "10.0.0.1", "r1")
	testkit.Put(t, client, key, value)
	testkit.Put(t, client, "/dubbo/mapping/a.Shop", "shop")
	testkit.Put(t, client, "/dubbo/mapping/a.Java", "java")
	report, discovery := testkit.NewReport(t, etcd.Endpoint()), testkit.NewDiscovery(t, etcd.Endpoint())

	var read sync.Once
	var l told
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	collecting, done := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		ended <- Collect(collecting, as(client), usual, Options{
			Delete: true, Grace: time.Hour, Tell: l.tell,
			beforeDelete: func() {
				read.Do(func() {
					if err := report.RegisterServiceAppMapping("a.Shop", "mapping", "shop"); err != nil {
						t.Error(err)
					}
				})
			},
		})
	}()
	testkit.Await(t, time.Minute, func() bool { return len(l.all()) == 2 }, "not both are deleted")
	require.ElementsMatch(t, []string{"deleted /dubbo/mapping/a.Java", "deleted /dubbo/mapping/a.Shop"}, l.all())
	require.NoError(t, discovery.Register(&registry.DefaultServiceInstance{ServiceName: "shop", Host: "10.0.0.2", Port: 20000, Enable: true, Healthy: true}))
	key, value = instance("java", "10.0.0.3", "r1")
	testkit.Put(t, client, key, value)

	testkit.Await(t, time.Minute, func() bool { return len(l.all()) == 4 }, "not both are restored")
	require.ElementsMatch(t, []string{"restored /dubbo/mapping/a.Java", "restored /dubbo/mapping/a.Shop"}, l.all()[2:])
	require.Equal(t, map[string]string{"/dubbo/mapping/a.Java": "java", "/dubbo/mapping/a.Shop": "shop"}, testkit.Values(t, client, "/dubbo/mapping/"))
	done()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestWhatIsNeededAgainWhileItAgesIsKept(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	key, value := instance("other", "10.0.0.1", "r1")
	testkit.Put(t, client, key, value)
	testkit.Put(t, client, "/dubbo/mapping/a.Shop", "shop")
	lines, err := collect(t, client, Options{Delete: true, Age: time.Hour, afterLook: func() {
		key, value := instance("shop", "10.0.0.2", "r1")
		testkit.Put(t, client, key, value)
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"kept /dubbo/mapping/a.Shop"}, lines)
	require.Equal(t, "shop", testkit.Values(t, client, "/dubbo/mapping/")["/dubbo/mapping/a.Shop"])
}

// etcd is emptied while something ages: what is there then is none of what was seen.
func TestWhatIsInAnotherStoreByThenIsKept(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	key, value := instance("other", "10.0.0.1", "r1")
	testkit.Put(t, etcd.Client(), key, value)
	for range 20 {
		testkit.Put(t, etcd.Client(), "/dubbo/mapping/a.Shop", "shop")
	}
	lines, err := collect(t, etcd.Client(), Options{Delete: true, Age: time.Hour, afterLook: func() {
		etcd.Wipe()
		testkit.Put(t, etcd.Client(), key, value)
		testkit.Put(t, etcd.Client(), "/dubbo/mapping/a.Shop", "shop")
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"kept /dubbo/mapping/a.Shop"}, lines)
}

func TestWhatIsLeftIsToldWithTheReason(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	scene(t, client)
	left := map[string]string{}
	err := Collect(t.Context(), as(client), usual, Options{Tell: func(o Outcome, p *Piece, note string) {
		if o == Left {
			left[p.Key] = p.Why + ": " + note
		}
	}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"/dubbo/mapping/a.Interface": "the mapping of a.Interface names the application interface-only, which has no instance: interface-only has providers at interface level",
		"/dubbo/other/thing":         "no instance of other has the revision thing: it does not say which application it is of",
	}, left)
}

// An instance that came and went between two looks has been there.
func TestWhoComesAndGoesHasTheAgeBeginAgain(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	testkit.Put(t, client, "/dubbo/mapping/a.Shop", "shop")
	testkit.Put(t, client, "/dubbo/mapping/a.Other", "other")
	hub := listener.NewHub(listener.Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }})
	t.Cleanup(hub.Close)
	c := &collector{layout: usual, store: world.Store{Layout: usual}, feed: hub.Open(usual.Prefixes()...), since: map[string]time.Time{}}
	t.Cleanup(c.feed.Close)
	require.NoError(t, c.feed.Ready(t.Context()))
	c.look()
	require.Len(t, c.since, 2)
	before := maps.Clone(c.since)
	key, value := instance("shop", "10.0.0.2", "r1")
	testkit.Put(t, client, key, value)
	testkit.Delete(t, client, key)
	sinceOf := func(all map[string]time.Time, name string) time.Time {
		for id, since := range all {
			if strings.Contains(id, name) {
				return since
			}
		}
		return time.Time{}
	}
	testkit.Await(t, time.Minute, func() bool {
		select {
		case <-c.feed.Changed():
			c.look()
		default:
		}
		return sinceOf(c.since, "a.Shop").After(sinceOf(before, "a.Shop"))
	}, "its age has not begun again")
	require.Equal(t, sinceOf(before, "a.Other"), sinceOf(c.since, "a.Other"))
}

func TestMetadataThatItsOwnerRefreshedIsYoung(t *testing.T) {
	t.Parallel()
	p := ofMetadataAt(t, time.Now().Add(-time.Hour))
	require.InDelta(t, time.Hour, time.Since(p.updated), float64(time.Minute))
}

func ofMetadataAt(t *testing.T, updated time.Time) *Piece {
	t.Helper()
	client := etcdtest.Start(t).Client()
	testkit.Put(t, client, "/dubbo/shop/r1", fmt.Sprintf(`{"app":"shop","lastUpdatedTime":%d}`, updated.UnixMilli()))
	var found *Piece
	err := Collect(t.Context(), as(client), usual, Options{Elsewhere: true, Tell: func(_ Outcome, p *Piece, _ string) { found = p }})
	require.NoError(t, err)
	require.NotNil(t, found)
	return found
}

func TestNothingIsConcludedFromThereBeingNoInstanceAtAll(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	testkit.Put(t, client, "/dubbo/mapping/a.Shop", "shop")
	lines, err := collect(t, client, Options{Delete: true})
	require.ErrorIs(t, err, ErrNoInstance)
	require.Empty(t, lines)
	lines, err = collect(t, client, Options{Delete: true, Elsewhere: true})
	require.NoError(t, err)
	require.Equal(t, []string{"deleted /dubbo/mapping/a.Shop"}, lines)
	require.Empty(t, testkit.Values(t, client, "/dubbo/"))
}

func TestWhatMayNotBeDeletedIsAFailure(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	garbage := scene(t, etcd.Client())
	root := testkit.EnableAuth(t, etcd, "reader", "/none/")
	for _, prefix := range usual.Prefixes() {
		testkit.Do(t, func(ctx context.Context) error {
			_, err := root.RoleGrantPermission(ctx, "reader", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermRead))
			return err
		})
	}
	reader := etcd.NewClient(func(c *clientv3.Config) { c.Username, c.Password = "reader", testkit.Password })
	before := testkit.Values(t, root, "/dubbo/")
	lines, err := collect(t, reader, Options{Delete: true})
	require.ErrorContains(t, err, "not all could be deleted")
	require.Len(t, lines, len(garbage))
	require.Contains(t, lines, "failed /dubbo/mapping/a.Gone")
	require.Equal(t, before, testkit.Values(t, root, "/dubbo/"))
}
