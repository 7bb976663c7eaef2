// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// A lease that an etcd has which was started again has the whole of its TTL: nothing
// is written, and nobody hears of anything.
func TestLeaseLivesOnWhenEtcdIsStartedAgain(t *testing.T) {
	for name, kept := range map[string]func(string, []string) error{
		"":                             nil,
		"WhereItsKeysMayNotBeReadByIt": refuse("LeaseTimeToLive", ""),
	} {
		t.Run(name, func(t *testing.T) {
			withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
				put(t, r, numbered(5)...)
				awaitWatches(t, e, 6)
				before, revision := e.Lease(numbered(1)[0].Name), e.Revision()
				e.Requests("LeaseGrant")
				e.Stop()
				time.Sleep(3 * ttl)
				e.Start()
				if name != "" {
					e.Set(func(e *etcdfake.Etcd) { e.Fail = mayNotSeeKeys(kept) })
				}
				time.Sleep(5 * ttl)
				assert.Equal(t, before, e.Lease(numbered(1)[0].Name))
				assert.Equal(t, revision, e.Revision(), "nothing was written")
				assert.Zero(t, e.Requests("LeaseGrant"))
			})
		})
	}
}

// The log tells a lease that could not be kept alive from one that etcd has ended, though
// the last renewal was noticed late.
func TestALeaseThatIsNotKeptAliveIsNotCalledRevoked(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		log := logtest.Record(t)
		put(t, r, numbered(1)...)
		time.Sleep(ttl/3 - 300*time.Millisecond)
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if method != "LeaseKeepAlive" {
					time.Sleep(2 * time.Second) // while this is written the lease is renewed
				}
				return nil
			}
		})
		put(t, r, numbered(2)...)
		e.Away(true)
		time.Sleep(2 * ttl)
		assert.Equal(t, "WARN [etcdv3] lease 1 was not kept alive for its 10s: unless etcd is away as well, consumers do not see this process any more", log.Lines("WARN [etcdv3]")[0])
	})
}

func TestALeaseThatWasRevokedIsCalledSo(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Watch", "") }) // which would tell at once
		put(t, r, numbered(1)...)
		time.Sleep(time.Second) // it has been renewed once
		_, err := e.Client(t).Revoke(t.Context(), 1)
		require.NoError(t, err)
		time.Sleep(ttl)
		assert.Equal(t, "WARN [etcdv3] etcd does not keep lease 1 any more, 7s before its end: it was revoked, or this is another etcd", log.Lines("WARN [etcdv3]")[0])
	})
}

// mayNotSeeKeys refuses the first of two questions for a lease: that for its keys.
func mayNotSeeKeys(refuse func(string, []string) error) func(string, []string) error {
	n := 0
	return func(method string, about []string) error {
		if method == "LeaseTimeToLive" {
			if n++; n%2 == 0 {
				return nil
			}
		}
		return refuse(method, about)
	}
}

func TestWhatWaitsIsWrittenWhenEtcdIsBack(t *testing.T) {
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		keys := numbered(2)
		put(t, r, keys[0])
		e.Stop()
		r.Put(keys[1])
		time.Sleep(4 * ttl)
		e.Requests("Txn")
		e.Requests("LeaseTimeToLive")
		for range 100 { // a connection that comes and goes
			r.Retry()
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, e.Requests("Txn")+e.Requests("LeaseTimeToLive"), 4)
		e.Start()
		r.Retry()
		awaitKeys(t, e, 2, 3*comingBack)
	})
}
