// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// restingIn returns how many mirrors rest, when nothing happens any more, and in
// how many rooms.
func restingIn(h *Hub) (mirrors, rooms int) {
	synctest.Wait()
	h.resting.mu.Lock()
	defer h.resting.mu.Unlock()
	for _, r := range h.resting.rooms {
		mirrors += r.size
	}
	return mirrors, len(h.resting.rooms)
}

// awaitRest waits until so many mirrors rest.
func awaitRest(t *testing.T, h *Hub, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		mirrors, _ := restingIn(h)
		return mirrors == n
	}, 2*restAfter, time.Millisecond)
}

// openMany opens prefixes, and waits until all rest.
func openMany(t *testing.T, h *Hub, n int) []*reader {
	readers := make([]*reader, n)
	for i := range readers {
		readers[i] = open(h, prefixOf(i))
	}
	awaitRest(t, h, n)
	_, rooms := restingIn(h)
	assert.Equal(t, (n+roomFor-1)/roomFor, rooms)
	return readers
}

func prefixOf(i int) string { return fmt.Sprintf("/%d/", i) }

func TestMirrorsThatRestHearOfWhatHappens(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		const n = 200
		readers := openMany(t, h, n)
		for round := range 3 {
			for i := 0; i < n; i += 10 {
				e.Put(fmt.Sprintf("%s%d", prefixOf(i), round), "")
			}
			mirrors, _ := restingIn(h)
			assert.Equal(t, n-n/10, mirrors, "the others go on resting")
			for i, r := range readers {
				assert.Equal(t, e.Keys(prefixOf(i)), r.now())
			}
			awaitRest(t, h, n)
			_, rooms := restingIn(h)
			assert.Equal(t, 4, rooms)
		}
		assert.Equal(t, n, e.Requests("Range"), "each was listed once")
		assert.Equal(t, n, e.Requests("Watch"))
		for i, r := range readers {
			if i > 0 {
				r.Close()
			}
		}
		mirrors, rooms := restingIn(h)
		assert.Equal(t, 1, mirrors)
		assert.Equal(t, 1, rooms)
		assert.Equal(t, 1, e.Watches())
		readers[0].Close()
		mirrors, rooms = restingIn(h)
		assert.Zero(t, mirrors)
		assert.Zero(t, rooms)
		assert.Zero(t, e.Watches())
	})
}

func TestMirrorsThatRestAreListedAgainWhenTheStoreIsAnother(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		readers := openMany(t, h, 100)
		for i := range readers {
			e.Put(prefixOf(i)+"1", "")
		}
		synctest.Wait()
		awaitRest(t, h, len(readers))
		e.Wipe()
		e.Put("/0/2", "")
		h.Check()
		time.Sleep(checkSpread + relistSpread + 2*session)
		assert.Equal(t, e.Keys("/0/"), readers[0].now())
		for _, r := range readers[1:] {
			assert.Empty(t, r.now())
		}
		mirrors, _ := restingIn(h)
		assert.Equal(t, 100, mirrors)
	})
}

func TestMirrorsThatRestGoOnWhenTheirWatchesEnd(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		readers := openMany(t, h, 100)
		e.EndWatches()
		for i := range readers {
			e.Put(prefixOf(i)+"1", "")
		}
		time.Sleep(time.Minute)
		for i, r := range readers {
			assert.Equal(t, e.Keys(prefixOf(i)), r.now())
		}
		mirrors, _ := restingIn(h)
		assert.Equal(t, 100, mirrors)
		assert.Equal(t, 100, e.Watches())
	})
}

func TestMirrorsThatRestMoveToAnotherStream(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		readers := openMany(t, h, 100)
		e.Requests("Watch")
		assert.True(t, h.moves(h.stream(), rpctypes.ErrInvalidAuthToken))
		time.Sleep(2 * restAfter)
		assert.Equal(t, 100, e.Requests("Watch"))
		assert.Equal(t, 100, e.Watches())
		e.Put("/7/1", "")
		assert.Equal(t, e.Keys("/7/"), readers[7].now())
	})
}

// It is not in a time of its own: here everything happens at once.
func TestNothingIsMissedHoweverOftenMirrorsRest(t *testing.T) {
	e := etcdfake.New()
	h := NewHub(Config{Dial: e.Dial(t), Session: session})
	h.resting.after = time.Microsecond
	defer h.Close()
	const prefixes = 2*roomFor + 1
	var readers []*reader
	for i := range prefixes {
		readers = append(readers, open(h, prefixOf(i)))
	}
	var doing sync.WaitGroup
	doing.Go(func() {
		for i := range 3 * prefixes {
			e.Put(fmt.Sprintf("%s%d", prefixOf(i%prefixes), i), "")
		}
	})
	doing.Go(func() {
		for range 5 {
			h.moves(h.stream(), rpctypes.ErrInvalidAuthToken)
			h.Check()
			time.Sleep(time.Millisecond)
		}
	})
	doing.Go(func() {
		for i := range 50 {
			h.Open(prefixOf(i % prefixes)).Close()
			h.Open(fmt.Sprintf("/other/%d/", i)).Close()
		}
	})
	doing.Wait()
	for i, r := range readers {
		for want := e.Keys(prefixOf(i)); len(r.keys) < len(want); {
			select {
			case <-r.Changed():
				for _, c := range r.Take() {
					r.keys[c.Key] = ""
				}
			case <-time.After(time.Minute):
				t.Fatalf("of %d keys %d are known", len(want), len(r.keys))
			}
		}
	}
}
