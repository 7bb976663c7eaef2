// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

var errEnded = errors.New("it has ended")

// withRegistrations runs a test with registrations of a Reconciler of its own.
func withRegistrations(t *testing.T, check bool, test func(*testing.T, *etcdfake.Etcd, *Registrations)) {
	t.Helper()
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		all := NewRegistrations(RegistrationsConfig{
			Use: func() (*Reconciler, error) { return r, nil }, Timeout: 5 * time.Second, Check: check, Endpoints: []string{"etcd:2379"}, Closed: errEnded,
		})
		defer func() { _ = all.Close(t.Context()) }()
		test(t, e, all)
	})
}

func named(slot string, key Key) Registration {
	return Registration{Slot: slot, Key: key, Name: slot}
}

func mapping(i int) Registration {
	return named(fmt.Sprintf("mapping %d", i), wordOf(i, "shop"))
}

func TestSlotHasTheKeyThatWasAcceptedLast(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		a, b, c := named("provider", Key{Name: "/a"}), named("provider", Key{Name: "/b"}), named("provider", Key{Name: "/c"})
		require.NoError(t, r.Register(a))
		require.NoError(t, r.Register(b))
		assert.NotContains(t, e.Keys(""), "/a")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "/c") })
		require.ErrorIs(t, r.Register(c), rpctypes.ErrPermissionDenied)
		require.NoError(t, r.Unregister(a), "it is not in the slot any more")
		time.Sleep(time.Minute)
		assert.Contains(t, e.Keys(""), "/b")
		assert.True(t, r.Holds(b))
		assert.Equal(t, []string{"provider"}, r.Slots())
		require.NoError(t, r.Unregister(b))
		assert.Empty(t, e.Keys(""))
		require.NoError(t, r.Close(t.Context()))
		require.ErrorIs(t, r.Register(a), errEnded)
		require.ErrorIs(t, r.RegisterLater(mapping(0)), errEnded)
	})
}

func TestWhatIsRefusedForTheFirstTimeIsForgotten(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "k0") })
		require.ErrorContains(t, r.Register(mapping(0)), "permission denied")
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(time.Minute)
		assert.Empty(t, e.Keys(""))
		assert.Empty(t, r.Slots())
	})
}

func TestEtcdThatIsAwayIsNoErrorUnlessItIsToBe(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		e.Away(true)
		checked := named("b", Key{Name: "/b"})
		checked.Check = true
		require.NoError(t, r.Register(named("a", Key{Name: "/a"})))
		require.ErrorContains(t, r.Register(checked), "connection refused")
		e.Away(false)
		time.Sleep(ttl)
		assert.Contains(t, e.Keys(""), "/a")
		assert.NotContains(t, e.Keys(""), "/b")
		e.Away(true)
		require.NoError(t, r.Unregister(named("a", Key{Name: "/a"})))
		e.Away(false)
		time.Sleep(ttl)
		assert.Empty(t, e.Keys(""))
	})
}

func TestRegistrationStaysWithOrWithoutALease(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		require.NoError(t, r.Register(named("a", Key{Name: "/a", Persistent: true})))
		require.NoError(t, r.Register(named("b", Key{Name: "/b"})))
		require.NoError(t, r.Register(named("a", Key{Name: "/a2"})))
		require.NoError(t, r.Register(named("b", Key{Name: "/b2", Persistent: true})))
		assert.Zero(t, e.Lease("/a2"))
		assert.NotZero(t, e.Lease("/b2"))
		require.NoError(t, r.Close(t.Context()))
		require.NoError(t, r.Close(t.Context()))
		assert.Equal(t, map[string]string{"/a2": ""}, e.Keys(""))
	})
}

// starting begins a process of n services: the first of them is waited for.
func starting(t *testing.T, r *Registrations, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, r.RegisterLater(mapping(i)))
	}
	synctest.Wait()
}

func TestProcessThatStartsWritesTwice(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 20)
		require.NoError(t, r.RegisterLater(named("metadata", Key{Name: "m", Merge: text("r1")})))
		assert.Equal(t, 1, e.Requests("Txn"), "only the first is waited for")
		require.NoError(t, r.Flush())
		assert.Equal(t, 1, e.Requests("Txn"))
		requireAll(t, e, 20, "shop")
		assert.Equal(t, "r1", e.Keys("")["m"])
		time.Sleep(time.Minute)
		assert.Zero(t, e.Requests("Txn"))
		require.NoError(t, r.Flush(), "there is nothing left")
	})
}

func TestWhatNobodyAsksForIsWrittenAllTheSame(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 20)
		e.Requests("Txn")
		time.Sleep(lingering)
		synctest.Wait()
		assert.Equal(t, 1, e.Requests("Txn"))
		requireAll(t, e, 20, "shop")
	})
}

func refuseAny(keys ...string) func(string, []string) error {
	return func(method string, about []string) error {
		for _, key := range keys {
			if err := refuse("Txn", key)(method, about); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWhatIsRefusedLaterIsAnErrorOfFlush(t *testing.T) {
	for _, lingers := range []bool{false, true} {
		withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
			e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseAny("k7", "k8") })
			starting(t, r, 20)
			if lingers {
				time.Sleep(2 * lingering)
			}
			for range 2 {
				err := r.Flush()
				require.ErrorContains(t, err, "register mapping ")
				require.ErrorContains(t, err, "permission denied")
				require.ErrorContains(t, err, "and 1 more")
			}
			assert.Equal(t, "shop", e.Keys("")["k19"])
			e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
			require.NoError(t, r.Flush())
			requireAll(t, e, 20, "shop")
		})
	}
}

func TestAfterARefusalEachIsWaitedFor(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseAny("k0", "k1") })
		require.Error(t, r.RegisterLater(mapping(0)))
		require.Error(t, r.RegisterLater(mapping(1)))
		require.NoError(t, r.RegisterLater(mapping(2)))
		assert.Equal(t, "shop", e.Keys("")["k2"])
	})
}

func TestEtcdThatGoesAwayWhileAProcessStarts(t *testing.T) {
	for _, check := range []bool{false, true} {
		withRegistrations(t, check, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
			starting(t, r, 10)
			e.Away(true)
			begun := time.Now()
			if check {
				require.ErrorContains(t, r.Flush(), "connection refused")
			} else {
				require.NoError(t, r.Flush())
			}
			assert.LessOrEqual(t, time.Since(begun), r.cfg.Timeout)
			e.Away(false)
			time.Sleep(ttl)
			requireAll(t, e, 10, "shop")
			require.NoError(t, r.Flush())
		})
	}
}

func TestOthersThatAreQuickerDelayFlush(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 2)
		n := 0
		beforeEach(e, func() {
			if n++; n < conflicts+5 {
				e.Put("k1", string(rune('a'+n)))
			}
		})
		require.NoError(t, r.Flush())
		assert.Contains(t, e.Keys("")["k1"], ",shop")
	})
}

func TestSameAgainWhileItIsPostponedIsOne(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 5)
		starting(t, r, 5)
		require.NoError(t, r.Flush())
		assert.Equal(t, 2, e.Requests("Txn"))
		requireAll(t, e, 5, "shop")
	})
}

func TestWhatIsReplacedBeforeItIsWrittenIsNot(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 1)
		revision := e.Revision()
		require.NoError(t, r.RegisterLater(named("m", Key{Name: "m", Merge: text("r1")})))
		require.NoError(t, r.RegisterLater(named("m", Key{Name: "m", Merge: nothing{}})))
		require.NoError(t, r.Flush())
		assert.Equal(t, revision, e.Revision())
		assert.NotContains(t, e.Keys(""), "m")
	})
}

func TestWhatFailsDoesNotTakeBackWhatWasAccepted(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 2)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseAny("k1") })
		require.Error(t, r.Register(mapping(1)))
		require.Error(t, r.Flush())
		synctest.Wait() // an attempt may be under way
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		require.NoError(t, r.Flush())
		assert.Equal(t, "shop", e.Keys("")["k1"])
	})
}

func TestCloseWritesWhatWasPostponed(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 20)
		require.NoError(t, r.Close(t.Context()))
		requireAll(t, e, 20, "shop")
		require.ErrorIs(t, r.RegisterLater(mapping(20)), errEnded)
		require.NoError(t, r.Flush())
		require.NoError(t, NewRegistrations(RegistrationsConfig{}).Flush(), "there is nothing to write")
	})
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 20)
		e.Away(true)
		require.ErrorContains(t, r.Close(t.Context()), "and 18 more")
	})
}

// An instance waits for all that this process has to write, of others as well.
func TestWhoWaitsForWhatEndsMeanwhileGoesOn(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		starting(t, r, 20)
		hanging := make(chan struct{})
		e.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(string, []string) error { <-hanging; return nil }
		})
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = r.Close(t.Context()) // waits for etcd, until the timeout
		}()
		time.Sleep(r.cfg.Timeout / 2)
		require.NoError(t, r.Flush())
		<-closed
		close(hanging)
	})
}

// While others register, some are refused, and all is closed.
func TestWhatWasAcceptedIsThereAfterClose(t *testing.T) {
	for range 20 {
		withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
			e.Set(func(e *etcdfake.Etcd) {
				e.Fail = func(method string, keys []string) error {
					time.Sleep(rand.N(3 * time.Millisecond))
					return refuseAny("k7")(method, keys)
				}
			})
			require.NoError(t, r.Register(named("m", Key{Name: "m", Merge: text("r1")})))
			var (
				running  sync.WaitGroup
				mu       sync.Mutex // guards accepted
				accepted []int
			)
			for i := range 40 {
				running.Go(func() {
					time.Sleep(rand.N(20 * time.Millisecond))
					if i%8 == 1 {
						_ = r.Flush()
					}
					if r.RegisterLater(mapping(i)) != nil {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					accepted = append(accepted, i)
				})
			}
			time.Sleep(rand.N(20 * time.Millisecond))
			err := r.Close(t.Context())
			running.Wait()
			for _, i := range accepted {
				if e.Keys("")[fmt.Sprintf("k%d", i)] == "" {
					require.Equal(t, 7, i)
					require.ErrorContains(t, err, "permission denied")
				}
			}
		})
	}
}

func TestCallThatWaitsEndsWithClose(t *testing.T) {
	withRegistrations(t, false, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		e.Set(func(e *etcdfake.Etcd) { e.Hold = make(chan struct{}) })
		registered := make(chan error)
		go func() { registered <- r.Register(named("a", Key{Name: "/a"})) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.Close(ctx), context.Canceled, "it may have been sent")
		require.ErrorIs(t, <-registered, errEnded)
	})
}

// A consumer that may only read is of use all the same.
func TestWhatIsOptionalIsNoErrorWhereItMayNotBe(t *testing.T) {
	withRegistrations(t, true, func(t *testing.T, e *etcdfake.Etcd, r *Registrations) {
		log := logtest.Record(t)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuse("Txn", "") })
		for i := range 3 {
			require.NoError(t, r.Register(named(fmt.Sprint("consumer", i), Key{Name: fmt.Sprintf("/dubbo/a/consumers/%d", i), Optional: true})))
		}
		lines := log.Take()
		require.Len(t, lines, 2, "with the one of the lease")
		assert.Contains(t, lines[1], "INFO [etcdv3] consumer0 is not registered, nor is what else may not be")
		assert.Contains(t, lines[1], "etcdctl role grant-permission ROLE readwrite --prefix=true /dubbo/a/consumers/")
		assert.Empty(t, r.Slots())
		e.Away(true)
		require.ErrorContains(t, r.Register(named("consumer", Key{Name: "/dubbo/a/consumers/9", Optional: true})), "connection refused", "that is another thing")
	})
}
