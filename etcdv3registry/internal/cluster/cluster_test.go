// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// of is how a user names an etcd.
func of(t *testing.T, e *etcdfake.Etcd, session time.Duration, endpoints ...string) Config {
	return Config{
		Endpoints: endpoints, Session: session, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t),
	}
}

func put(t *testing.T, c *Cluster, key string) {
	t.Helper()
	require.NoError(t, c.Desired.Put(desired.Key{Name: key}).Wait(t.Context()))
}

func TestThoseWhoNameTheSameEtcdShareOneLeaseUntilTheLastHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		first := Acquire(of(t, e, 0, "a:1", "b:1"))
		second := Acquire(of(t, e, 0, "b:1", "a:1"))
		assert.Same(t, first, second)
		put(t, first, "/dubbo/first")
		put(t, second, "/dubbo/second")
		assert.Equal(t, 1, e.Requests("LeaseGrant"))

		require.NoError(t, first.Release(t.Context()))
		time.Sleep(time.Hour)
		assert.Len(t, e.Keys("/dubbo/"), 2, "the second is still there")
		require.NoError(t, second.Release(t.Context()))
		assert.Empty(t, e.Keys("/dubbo/"), "at once, and not when the lease runs out")
		assert.Equal(t, 1, e.Requests("LeaseRevoke"))
	})
}

func TestWhoDiffersInWhatTheConnectionIsMadeOfDoesNotShareIt(t *testing.T) {
	same := Config{Endpoints: []string{"a:1"}, Username: "u", Password: "p", TLS: TLS{Enabled: true, CA: "ca.pem"}}
	c := Acquire(same)
	for name, change := range map[string]func(*Config){
		"endpoints": func(cfg *Config) { cfg.Endpoints = []string{"a:1", "b:1"} },
		"user":      func(cfg *Config) { cfg.Username = "v" },
		"password":  func(cfg *Config) { cfg.Password = "q" },
		"no TLS":    func(cfg *Config) { cfg.TLS = TLS{} },
		"CA":        func(cfg *Config) { cfg.TLS.CA = "other.pem" },
	} {
		cfg := same
		change(&cfg)
		other := Acquire(cfg)
		assert.NotSame(t, c, other, name)
		require.NoError(t, other.Release(t.Context()))
	}
	same.Timeout, same.SyncEndpoints = time.Minute, true
	again := Acquire(same)
	assert.Same(t, c, again, "how it is talked to makes no difference")
	require.NoError(t, again.Release(t.Context()))
	require.NoError(t, c.Release(t.Context()))
}

func TestTheFirstWhoAsksForASessionGetsIt(t *testing.T) {
	for name, c := range map[string]struct {
		sessions []time.Duration // of the users
		lease    time.Duration
		warned   bool
	}{
		"nobody asks":                        {[]time.Duration{0, 0}, DefaultSession, false},
		"the second asks":                    {[]time.Duration{0, 7 * time.Second}, 7 * time.Second, false},
		"both ask for the same":              {[]time.Duration{7 * time.Second, 7 * time.Second}, 7 * time.Second, false},
		"the second asks for something else": {[]time.Duration{7 * time.Second, time.Minute}, 7 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, e := logtest.Record(t), etcdfake.New()
				var users []*Cluster
				for _, session := range c.sessions {
					users = append(users, Acquire(of(t, e, session, "a:1")))
				}
				assert.Equal(t, c.warned, len(log.Lines("session=1m0s is not used: this process already has a lease of 7s")) == 1)
				assert.Equal(t, c.lease, users[0].agreed().Session)
				put(t, users[0], "/dubbo/a")
				client, err := users[0].Client(t.Context())
				require.NoError(t, err)
				lease, err := client.TimeToLive(t.Context(), 1)
				require.NoError(t, err)
				assert.EqualValues(t, c.lease.Seconds(), lease.GrantedTTL)
				for _, user := range users {
					require.NoError(t, user.Release(t.Context()))
				}
			})
		})
	}
}

func TestShutdownGivesUpAllLeasesWhileWhatWatchesGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, other := etcdfake.New(), etcdfake.New()
		c, d := Acquire(of(t, e, 0, "a:1")), Acquire(of(t, other, 0, "b:1"))
		put(t, c, "/dubbo/mine")
		put(t, d, "/dubbo/mine")
		feed := c.Watches.Open("/dubbo/")
		defer feed.Close()
		require.NoError(t, feed.Ready(t.Context()))
		feed.Take()

		Shutdown(t.Context())
		assert.Empty(t, e.Keys(""))
		assert.Empty(t, other.Keys(""))
		e.Put("/dubbo/another", "")
		synctest.Wait()
		assert.Len(t, feed.Take(), 2, "what is gone and what has come")
		require.ErrorIs(t, c.Desired.Put(desired.Key{Name: "/dubbo/late"}).Wait(t.Context()), desired.ErrClosed)

		again := Acquire(of(t, e, 0, "a:1"))
		assert.NotSame(t, c, again, "a process that lives on begins anew")
		put(t, again, "/dubbo/mine")
		require.NoError(t, c.Release(t.Context()), "of the one before")
		assert.Len(t, e.Keys("/dubbo/"), 2)
		Shutdown(t.Context())
		assert.NotContains(t, e.Keys(""), "/dubbo/mine")
		require.NoError(t, again.Release(t.Context()))
		require.NoError(t, d.Release(t.Context()))
	})
}

func TestShutdownAndReleaseWithoutEtcdEndInTimeAndSayWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e, other := logtest.Record(t), etcdfake.New(), etcdfake.New()
		c, d := Acquire(of(t, e, 0, "a:1")), Acquire(of(t, other, 0, "b:1"))
		put(t, c, "/dubbo/mine")
		put(t, d, "/dubbo/mine")
		hold := make(chan struct{})
		e.Set(func(e *etcdfake.Etcd) { e.Hold = hold })
		other.Away(true)
		log.Take()

		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		Shutdown(ctx)
		assert.LessOrEqual(t, time.Since(begun), 5*time.Second)
		assert.Len(t, log.Lines("WARN [etcdv3] shut down at [a:1]: revoke lease 1 (its keys go within 30s)"), 1)
		require.NoError(t, c.Release(t.Context()), "that was told")
		time.Sleep(DefaultSession)
		assert.Empty(t, e.Keys(""), "the lease has run out")
		close(hold)

		late := Acquire(of(t, other, 0, "b:1"))
		err := late.Desired.Put(desired.Key{Name: "/dubbo/mine"}).Wait(t.Context())
		require.ErrorContains(t, err, "connection refused")
		require.NoError(t, late.Release(t.Context()), "it has no lease")
		require.NoError(t, d.Release(t.Context()))
	})
}

// Behind a new stream there may be another store. A lease that lives on does not
// tell of keys that do not.
func TestANewStreamHasTheKeysLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, stream := range map[string]func(*Cluster){
			"of watches":     func(c *Cluster) { c.observer.watching() },
			"of keep-alives": func(c *Cluster) { c.observer.keeping() },
			"none":           nil,
		} {
			e := etcdfake.New()
			c := Acquire(of(t, e, 0, "a:1"))
			put(t, c, "/dubbo/mine")
			time.Sleep(time.Second)
			e.Delete("/dubbo/mine")
			if stream != nil {
				stream(c)
			}
			time.Sleep(DefaultSession/3 + time.Second)
			assert.Len(t, e.Keys(""), map[bool]int{true: 1}[stream != nil], "%s: when the lease is kept alive next", name)
			require.NoError(t, c.Release(t.Context()))
		}
	})
}

// Listed before etcd was emptied, a mirror waits for a revision of the future.
func TestANewStreamOfWatchesHasEtcdListedAgainIfItIsAnotherStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		c := Acquire(of(t, e, time.Second, "a:1"))
		e.Put("/dubbo/before", "")
		feed := c.Watches.Open("/dubbo/")
		require.NoError(t, feed.Ready(t.Context()))
		feed.Take()
		e.Wipe()
		e.Put("/dubbo/after", "")
		time.Sleep(time.Minute)
		assert.Empty(t, feed.Take(), "etcd says nothing")
		c.observer.watching()
		time.Sleep(time.Minute)
		gone := map[string]bool{}
		for _, change := range feed.Take() {
			gone[change.Key] = change.Deleted
		}
		assert.Equal(t, map[string]bool{"/dubbo/before": true, "/dubbo/after": false}, gone)
		feed.Close()
		require.NoError(t, c.Release(t.Context()))
	})
}

func TestACallOfTheFrameworkWaitsForItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Acquire(Config{Endpoints: []string{"a:1"}})
		ctx, cancel := c.Waiting(3 * time.Second)
		defer cancel()
		begun := time.Now()
		<-ctx.Done()
		assert.Equal(t, 3*time.Second, time.Since(begun))
		require.NoError(t, c.Release(t.Context()))
	})
}
