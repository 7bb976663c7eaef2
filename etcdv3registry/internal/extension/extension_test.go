// SPDX-License-Identifier: Apache-2.0

package extension

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// with runs a test with users of an etcd, in time that passes by itself.
func with(t *testing.T, test func(t *testing.T, e *etcdfake.Etcd, cfg Config)) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		test(t, e, Config{Timeout: time.Second, Cluster: cluster.Config{
			Endpoints: []string{t.Name()}, Timeout: time.Second, Retry: retry.NTimes(1, 100*time.Millisecond), Dial: e.Dial(t),
		}})
	})
}

func newUser(cfg Config) *User { return NewUser(cfg, cfg.Timeout, ErrClosed) }

func end(t *testing.T, u *User) {
	u.End()
	require.NoError(t, u.Close())
}

func TestAUserAcquiresItsClusterOnce(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, cfg Config) {
		u := newUser(cfg)
		c, err := u.Get()
		require.NoError(t, err)
		again, err := u.Get()
		require.NoError(t, err)
		assert.Same(t, c, again)
		end(t, u)
		other := cluster.Acquire(cfg.Cluster)
		assert.NotSame(t, c, other, "nobody has it any more")
		require.NoError(t, other.Release(t.Context()))
	})
}

func TestAUserThatHasEndedIsOfNoUseToAnybody(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, cfg Config) {
		cfg.CachePath = func(string) string { return filepath.Join(t.TempDir(), "cache") }
		used, unused := newUser(cfg), newUser(cfg)
		other := cluster.Acquire(cfg.Cluster)
		_, err := used.Get()
		require.NoError(t, err)
		for n := range 2 {
			for _, u := range []*User{used, unused} {
				if n > 0 {
					require.ErrorIs(t, u.Err(), ErrClosed)
				} else {
					require.NoError(t, u.Err())
				}
				assert.Equal(t, n == 0, u.End())
				require.NoError(t, u.Close())
				_, err = u.Get()
				require.ErrorIs(t, err, ErrClosed)
				require.ErrorIs(t, u.Registrations.Register(desired.Registration{}), ErrClosed)
				assert.Nil(t, u.File("shop"))
			}
			again := cluster.Acquire(cfg.Cluster)
			assert.Same(t, other, again, "each has left once")
			require.NoError(t, again.Release(t.Context()))
		}
		require.NoError(t, other.Release(t.Context()))
	})
}

func TestTheKeysOfAUserGoWithIt(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, cfg Config) {
		u := newUser(cfg)
		require.NoError(t, u.Registrations.Register(desired.Registration{Slot: "mine", Key: desired.Key{Name: "/dubbo/mine"}}))
		assert.Len(t, e.Keys(""), 1)
		end(t, u)
		assert.Empty(t, e.Keys(""))
	})
}

func TestWhatIsCachedIsToldOfOnceUntilEtcdAnswers(t *testing.T) {
	with(t, func(t *testing.T, e *etcdfake.Etcd, cfg Config) {
		asked := 0
		cfg.CachePath = func(application string) string {
			asked++
			return filepath.Join(t.TempDir(), application)
		}
		u := newUser(cfg)
		file := u.File("shop")
		assert.Same(t, file, u.File("shop"))
		assert.Equal(t, 1, asked)
		log := logtest.Record(t)
		u.Answers("addresses")
		for range 2 {
			u.FallsBack("addresses", file, time.Now())
		}
		assert.Len(t, log.Lines("WARN [etcdv3] ETCD DOES NOT ANSWER, RUNNING ON CACHED ADDRESSES: "), 1)
		for range 2 {
			u.Answers("addresses")
		}
		assert.Len(t, log.Lines("the cached addresses are brought up to date"), 1)
		end(t, u)
	})
}
