// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// refuseQuestions has etcd not tell whether it is the store that it was: of what is
// under a prefix, or, to a user that it does not let in, at all.
func refuseQuestions(prefix string, err error) func(string, []string) error {
	under := refuseUnder(prefix)
	return func(method string, keys []string) error {
		if method == "Txn" && under("Range", keys) != nil {
			return err
		}
		return nil
	}
}

// A watch that etcd lets go on would end with a listing, which it refuses as well.
func TestWhatMayNotBeAskedForIsNotListedAgain(t *testing.T) {
	for _, refused := range []error{rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCAuthFailed} {
		withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
			e.Put("/a/1", "")
			e.Put("/b/1", "")
			a, b := open(h, "/a/"), open(h, "/b/")
			a.now()
			b.now()
			e.Requests("Range")
			e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseQuestions("/a/", refused) })
			h.Check()
			h.Check()
			time.Sleep(time.Minute)
			assert.Zero(t, e.Requests("Range"))
			assert.Less(t, e.Requests("Txn"), 60, "it is asked now and then")
			e.Put("/a/2", "")
			assert.Contains(t, a.now(), "/a/2")

			e.Wipe() // and it may be told again
			e.Put("/b/2", "")
			e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
			h.Check()
			time.Sleep(20*time.Second + session)
			assert.Empty(t, a.now())
			assert.Equal(t, map[string]string{"/b/2": ""}, b.now())
		})
	}
}

func TestOfAnotherStoreTheRestTells(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "")
		e.Put("/b/1", "")
		open(h, "/a/").now()
		b := open(h, "/b/")
		b.now()
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseQuestions("/a/", rpctypes.ErrGRPCPermissionDenied) })
		e.Wipe()
		h.Check()
		time.Sleep(5*time.Second + session)
		assert.Empty(t, b.now())
	})
}

func TestAUserThatIsNotLetInIsALineHoweverManyPrefixes(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return rpctypes.ErrGRPCAuthFailed } })
		for i := range 10 {
			require.ErrorIs(t, open(h, fmt.Sprintf("/%d/", i)).Ready(t.Context()), rpctypes.ErrAuthFailed)
		}
		time.Sleep(20 * time.Second)
		lines := log.Take()
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "ERROR [etcdv3] etcd does not let this process in")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"INFO [etcdv3] etcd lets this process in again"}, log.Take())
	})
}

// It is no etcd that is away.
func TestAnEtcdThatRefusesIsNoReasonToFallBackOnTheCache(t *testing.T) {
	for _, refused := range []error{rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCAuthFailed} {
		withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
			e.Put(keyOf("2"), "")
			e.Set(func(e *etcdfake.Etcd) { e.Fail = func(string, []string) error { return refused } })
			v := viewOf()
			v.Cache = &saved{keys: []string{keyOf("1")}, ok: true}
			s, l := subscribe(h, v)
			s.Start(time.Second)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			assert.Empty(t, l.since())
			e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
			time.Sleep(20 * time.Second)
			assert.Equal(t, "2", l.hosts())
		})
	}
}
