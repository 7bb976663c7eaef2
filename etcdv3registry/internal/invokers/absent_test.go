// SPDX-License-Identifier: Apache-2.0

package invokers

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func missing(ids ...string) map[string]Endpoint {
	all := map[string]Endpoint{}
	for _, id := range ids {
		all[id] = Endpoint{"tri", id, "20000"}
	}
	return all
}

func TestWhoIsMissingIsTriedSoonAndThenNowAndThen(t *testing.T) {
	a := Absent{Service: "greeter"}
	assert.False(t, a.Look(nil, 3), "nobody is missing")
	assert.True(t, a.Look(missing("a", "b"), 3))
	assert.Less(t, a.Next(), time.Second)
	for range 20 {
		assert.LessOrEqual(t, a.Next(), 15*time.Second)
	}
	assert.Greater(t, a.Next(), 4*time.Second)
	assert.False(t, a.Look(missing("a", "b"), 3), "nothing has changed")
	assert.Greater(t, a.Next(), 4*time.Second)
	for name, now := range map[string][]string{"somebody else": {"a", "b", "c"}, "progress": {"a"}} {
		assert.True(t, a.Look(missing(now...), 3), name)
		assert.Less(t, a.Next(), time.Second, name)
	}
	assert.True(t, a.Look(nil, 3))
}

func TestALineIsWorthWhoStaysAwayAndThatAllAreThere(t *testing.T) {
	log := logtest.Record(t)
	a := Absent{Service: "greeter"}
	for range 2 {
		a.Look(missing("a"), 3)
		for range worthALine - 1 {
			a.Try(missing("a"), 3)
		}
		assert.Empty(t, log.Take())
		for range 10 {
			a.Try(missing("a"), 3)
		}
		assert.Len(t, log.Lines("1 of 3 provider(s) of greeter cannot be called"), 1)
		a.Look(nil, 3)
		assert.Len(t, log.Lines("all 3 provider(s) of greeter can be called"), 1)
		a.Look(nil, 3)
		assert.Empty(t, log.Take())
	}
}

func TestWhoIsNotTakenAlthoughHeCanBeReachedIsTriedSeldom(t *testing.T) {
	log := logtest.Record(t)
	synctest.Test(t, func(t *testing.T) {
		a := Absent{Service: "greeter"}
		both := missing("a", "b")
		a.Look(both, 3)
		for range inVain {
			require.Len(t, a.Try(both, 3), 2)
			a.Told([]string{"a"})
		}
		assert.Len(t, log.Lines("1 provider(s) of greeter can be reached, but dubbo-go does not take them"), 1)
		told := 0
		for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(10 * time.Second) {
			due := a.Try(both, 3)
			assert.Contains(t, due, "b", "he cannot be reached")
			if _, is := due["a"]; is {
				a.Told([]string{"a"})
				told++
			}
		}
		assert.Less(t, told, 12)
		assert.Greater(t, told, 5)
		assert.Empty(t, log.Lines("does not take"))
		a.Look(missing("b"), 3) // he is taken
		a.Look(both, 3)
		assert.Len(t, a.Try(both, 3), 2, "and ended again")
	})
}

func TestAnAddressIsTriedOnceForAllWhoAsk(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted := make(chan struct{}, 1000)
	go func() {
		for {
			conn, err := listening.Accept()
			if err != nil {
				close(accepted)
				return
			}
			_ = conn.Close()
			accepted <- struct{}{}
		}
	}()
	host, port, err := net.SplitHostPort(listening.Addr().String())
	require.NoError(t, err)
	there := Endpoint{"tri", host, port}
	begun := time.Now()
	for range 20 {
		assert.Len(t, Reachable(t.Context(), map[string]Endpoint{"a": there, "b": there}), 2)
	}
	tries := 1 + int(time.Since(begun)/fresh)
	require.NoError(t, listening.Close())
	n := 0
	for range accepted {
		n++
	}
	assert.LessOrEqual(t, n, tries)
	require.Eventually(t, func() bool { return len(Reachable(t.Context(), map[string]Endpoint{"a": there})) == 0 }, 30*time.Second, 10*time.Millisecond)
}

func TestWhoDoesNotWaitTellsOthersNothing(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listening.Close() }()
	host, port, err := net.SplitHostPort(listening.Addr().String())
	require.NoError(t, err)
	there := map[string]Endpoint{"a": {"tri", host, port}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Empty(t, Reachable(ended, there))
	assert.Len(t, Reachable(t.Context(), there), 1)
}
