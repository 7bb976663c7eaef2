// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

const session = 10 * time.Second

// withHub runs a test with a hub of its own, in time that passes by itself.
func withHub(t *testing.T, test func(*testing.T, *etcdfake.Etcd, *Hub)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, Session: session, PageSize: 3})
		defer h.Close()
		test(t, e, h)
	})
}

// reader is a feed and what it knows.
type reader struct {
	*Feed
	keys map[string]string
}

func open(h *Hub, prefixes ...string) *reader {
	return &reader{h.Open(prefixes...), map[string]string{}}
}

// now waits until nothing happens any more, and returns what the reader knows.
func (r *reader) now() map[string]string {
	synctest.Wait()
	for _, c := range r.Take() {
		if c.Deleted {
			delete(r.keys, c.Key)
		} else {
			r.keys[c.Key] = string(c.Value)
		}
	}
	return r.keys
}

func TestReaderFollowsWhatIsInEtcd(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		for i := range 10 { // in several pages
			e.Put(fmt.Sprintf("/a/%d", i), "old")
		}
		e.Put("/b/1", "not here")
		r := open(h, "/a/")
		require.NoError(t, r.Ready(t.Context()))
		assert.Equal(t, e.Keys("/a/"), r.now())
		assert.Equal(t, e.Revision(), r.Revision())
		assert.Equal(t, 4, e.Requests("Range"))

		e.Put("/a/new", "")
		e.Put("/a/1", "new")
		e.Delete("/a/2", "/a/3")
		assert.Equal(t, e.Keys("/a/"), r.now())
		e.Put("/a/short", "")
		e.Delete("/a/short")
		assert.Equal(t, e.Keys("/a/"), r.now())
		assert.Zero(t, e.Requests("Range"))
		assert.Equal(t, 1, e.Watches())

		later := open(h, "/a/")
		assert.Equal(t, e.Keys("/a/"), later.now())
		assert.Zero(t, e.Requests("Range"), "the mirror is shared")
		r.Close()
		r.Close()
		synctest.Wait()
		assert.Equal(t, 1, e.Watches())
		later.Close()
		synctest.Wait()
		assert.Zero(t, e.Watches())
	})
}

func TestReaderOfKeysHasNoValues(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "large")
		keys, all := &reader{h.OpenKeys("/a/"), map[string]string{}}, open(h, "/a/")
		assert.Equal(t, map[string]string{"/a/1": ""}, keys.now())
		e.Put("/a/2", "large")
		e.Put("/a/1", "larger")
		assert.Equal(t, map[string]string{"/a/1": "", "/a/2": ""}, keys.now())
		assert.Equal(t, e.Keys("/a/"), all.now(), "who wants the values has them")
		assert.EqualValues(t, len("/a/1")+len("/a/2"), keys.views[0].store.bytes)
		keys.Close()
		all.Close()
		synctest.Wait()
		assert.Zero(t, e.Watches())
	})
}

func TestChangesAreToldInOrderWithTheRevisionsOfTheKey(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		r := open(h, "/a/")
		r.now()
		e.Put("/a/2", "")
		e.Put("/a/1", "first")
		created := e.Revision()
		e.Put("/a/1", "second")
		synctest.Wait()
		changes := r.Take()
		require.Len(t, changes, 2)
		assert.Equal(t, []string{"/a/2", "/a/1"}, []string{changes[0].Key, changes[1].Key})
		assert.Equal(t, created, changes[1].Created)
		assert.Equal(t, created+1, changes[1].Changed)

		times := 0
		decode := func(string, []byte) any { times++; return times }
		assert.Equal(t, 1, changes[1].Decode(decode))
		assert.Equal(t, 1, changes[1].Decode(decode), "once for a value")
	})
}

func TestTheFirstTakeIsOfWhatIsThereThen(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		for i := range 5 {
			e.Put(fmt.Sprintf("/a/%d", i), "")
		}
		first := open(h, "/a/")
		require.NoError(t, first.Ready(t.Context()))
		e.Delete("/a/1")
		e.Put("/a/2", "new")
		e.Put("/a/5", "")
		second := open(h, "/a/")
		synctest.Wait()
		for _, r := range []*reader{first, second} {
			changes := r.Take()
			require.Len(t, changes, 5)
			var keys []string
			for _, c := range changes {
				assert.False(t, c.Deleted, c.Key)
				keys = append(keys, c.Key)
			}
			assert.Equal(t, []string{"/a/0", "/a/3", "/a/4", "/a/2", "/a/5"}, keys)
			assert.Empty(t, r.Take())
		}
		e.Put("/a/6", "")
		e.Delete("/a/6")
		synctest.Wait()
		for _, r := range []*reader{first, second} {
			changes := r.Take()
			require.Len(t, changes, 1)
			assert.True(t, changes[0].Deleted, "that it came and went")
		}
	})
}

func TestSeveralPrefixesAreReadTogether(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "")
		e.Put("/b/1", "")
		r := open(h, "/a/", "/b/")
		assert.Len(t, r.now(), 2)
		e.Put("/b/2", "")
		e.Delete("/a/1")
		assert.Equal(t, []string{"/b/1", "/b/2"}, slices.Sorted(maps.Keys(r.now())))
	})
}

func TestEtcdThatIsAwayIsFollowedWhenItIsBack(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Away(true)
		r := open(h, "/a/")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Ready(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "connection refused")
		e.Put("/a/1", "")
		e.Away(false)
		require.NoError(t, r.Ready(t.Context()))
		assert.Equal(t, e.Keys("/a/"), r.now())

		e.EndWatches()
		e.Put("/a/2", "")
		e.Requests("Range")
		time.Sleep(10 * time.Second)
		assert.Equal(t, e.Keys("/a/"), r.now())
		assert.Zero(t, e.Requests("Range"), "it goes on from where it was")
	})
}

// As a process does that is started before etcd is, whose connection is made some time.
func TestWhoWaitsForEtcdIsThereAsSoonAsItIs(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "1")
		e.Away(true)
		r := open(h, "/a/")
		time.Sleep(time.Minute)
		e.Requests("Range")
		for range 100 { // a connection that comes and goes
			h.Retry()
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, e.Requests("Range"), 2)
		time.Sleep(2 * comingBack)
		e.Away(false)
		h.Retry()
		require.Eventually(t, func() bool { return len(r.now()) == 1 }, 2*comingBack, time.Millisecond)
	})
}

func TestHistoryThatIsCompactedIsListedAgain(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "")
		e.Put("/a/last", "")
		r := open(h, "/a/")
		r.now()
		e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return etcdfake.ErrAway } })
		e.EndWatches()
		e.Delete("/a/1")
		e.Put("/a/2", "")
		e.Put("/b/1", "")
		e.Compact()
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(10 * time.Second)
		assert.Equal(t, e.Keys("/a/"), r.now())
	})
}

// What a page holds may be large, and the way slow: a listing that takes longer
// than a request may is asked for in smaller pages.
func TestListingInTimeThatAPageIsTooLargeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second})
		defer h.Close()
		for i := range 1000 {
			e.Put(fmt.Sprintf("/a/%04d", i), "")
		}
		e.Set(func(e *etcdfake.Etcd) {
			e.Delay = func(keys int) time.Duration { return time.Duration(keys) * 5 * time.Millisecond }
		})
		r := open(h, "/a/")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, r.Ready(ctx))
		assert.Len(t, r.now(), 1000)
	})
}

func TestNothingIsLeftOfAHubThatIsClosed(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		open(h, "/a/").now()
		h.Close()
		synctest.Wait()
		assert.Zero(t, e.Watches())
		r := h.Open("/b/")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Error(t, r.Ready(ctx))
	})
}

// refuseUnder has etcd refuse to read what is under a prefix.
func refuseUnder(prefix string) func(string, []string) error {
	return func(method string, keys []string) error {
		if method == "Range" && slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, prefix) }) {
			return rpctypes.ErrGRPCPermissionDenied
		}
		return nil
	}
}

func TestWhatIsRefusedAndWhatIsAwayAreToldApart(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		log := logtest.Record(t)
		told := func() (lines []string) {
			time.Sleep(20 * time.Second)
			for _, line := range log.Take() {
				line, _, _ = strings.Cut(line, ", listeners")
				line, _, _ = strings.Cut(line, " under")
				line, _, _ = strings.Cut(line, " again,")
				lines = append(lines, strings.ReplaceAll(line, "[etcdv3] ", ""))
			}
			return lines
		}
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseUnder("/secret/") })
		secret := open(h, "/secret/")
		require.Error(t, secret.Ready(t.Context()))
		assert.True(t, errors.Is(secret.Ready(t.Context()), rpctypes.ErrPermissionDenied))
		assert.Equal(t, []string{"ERROR etcd refuses to be read"}, told())

		e.Away(true) // one that is refused does not silence the others
		a := open(h, "/a/")
		open(h, "/b/")
		assert.Equal(t, []string{"WARN etcd cannot be watched"}, told())
		e.Away(false)
		assert.ElementsMatch(t, []string{"INFO etcd is watched"}, told())

		e.Away(true) // one that was away first is refused then
		e.EndWatches()
		assert.Equal(t, []string{"WARN etcd cannot be watched"}, told())
		e.Put("/elsewhere", "")
		e.Put("/elsewhere", "")
		e.Compact() // everything has to be listed
		e.Away(false)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseUnder("/a/") })
		lines := slices.DeleteFunc(told(), func(line string) bool { return strings.Contains(line, "compacted") })
		assert.ElementsMatch(t, []string{"ERROR etcd refuses to be read", "INFO etcd is watched"}, lines)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		assert.Equal(t, []string{"INFO etcd lets /a/ be read again"}, told())

		e.Away(true)
		e.EndWatches()
		assert.Equal(t, []string{"WARN etcd cannot be watched"}, told())
		a.Close()
		secret.Close()
		assert.Empty(t, told(), "who leaves meanwhile says nothing about etcd")
	})
}
