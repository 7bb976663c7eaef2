// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// listed has a mirror show a listing.
func listed(m *mirror, revision int64) {
	m.beginListing()
	m.replace(map[string]entry{}, revision, 0)
}

// known1 is what is known of the only prefix.
func known1(m *mirror) fingerprint {
	k, _ := m.fingerprint()
	return k
}

func TestWhatIsListedLaterNeedsNoComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), mirrored{prefix: "/dubbo/"}, nil)
	listed(m, 5)
	k := known1(m)
	assert.False(t, m.listedSince(k))
	listed(m, 5)
	assert.True(t, m.listedSince(k))
	assert.False(t, m.listedSince(known1(m)))
}

// It may have been read from the store that is to be compared with another.
func TestWhatIsBeingListedNeedsAComparison(t *testing.T) {
	m := newMirror(NewHub(Config{}), mirrored{prefix: "/dubbo/"}, nil)
	listed(m, 5)
	m.beginListing()
	k := known1(m)
	m.replace(map[string]entry{}, 7, 0)
	assert.False(t, m.listedSince(k))
	listed(m, 7)
	assert.True(t, m.listedSince(k))
}

func TestOnlyTheLastRestartCountsAndAnyOfAnotherStore(t *testing.T) {
	m := newMirror(NewHub(Config{}), mirrored{prefix: "/dubbo/"}, nil)
	listed(m, 5)
	m.requestRelist(relist{fingerprint: known1(m), otherStore: true})
	listed(m, 6)
	last := known1(m)
	m.requestRelist(relist{fingerprint: last})
	assert.Equal(t, relist{fingerprint: last, otherStore: true}, <-m.relists)
	assert.Empty(t, m.relists)
}

func TestProgressNeverGoesBack(t *testing.T) {
	m := newMirror(NewHub(Config{}), mirrored{prefix: "/dubbo/"}, nil)
	listed(m, 5)
	m.advance(9)
	m.advance(7)
	assert.EqualValues(t, 9, known1(m).revision)
}

// Emptied, or restored from a backup: with the same revisions as before.
func TestAnotherStoreIsNoticed(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "of the first store")
		e.Put("/a/2", "")
		r := open(h, "/a/")
		r.now()
		e.Wipe()
		e.Put("/a/1", "of the second store")
		e.Put("/b/1", "")
		e.Put("/b/2", "")
		h.Check()
		time.Sleep(5 * time.Second)
		assert.Equal(t, map[string]string{"/a/1": "of the second store", "/a/2": ""}, r.now(), "what may come back is left for a while")
		time.Sleep(session)
		assert.Equal(t, e.Keys("/a/"), r.now())
	})
}

// Where nobody but its owners writes, they do so again in the same order when all of
// them are started anew with an etcd that keeps nothing.
func TestAnotherStoreWithTheSameKeysInTheSameRevisionsIsNoticed(t *testing.T) {
	for name, differ := range map[string]func(e *etcdfake.Etcd, n int){
		"ByALease": func(e *etcdfake.Etcd, n int) {
			e.Put(fmt.Sprintf("/a/of %d", n), "")
			e.PutUnder("/a/same", "", int64(1+n))
		},
		"ByAValue": func(e *etcdfake.Etcd, n int) { e.Put("/a/same", fmt.Sprint(n)) },
		"ByWhatIsGone": func(e *etcdfake.Etcd, n int) {
			e.Put(fmt.Sprintf("/a/of %d", n), "")
			e.PutUnder("/a/same", "", int64(1+n))
			e.Delete("/a/same")
		},
	} {
		t.Run(name, func(t *testing.T) {
			withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
				r := open(h, "/a/")
				r.now()
				differ(e, 0)
				r.now()
				e.Wipe()
				differ(e, 1)
				h.Check()
				time.Sleep(5*time.Second + session)
				assert.Equal(t, e.Keys("/a/"), r.now())
			})
		})
	}
}

func TestTheSameStoreIsNotListedAgain(t *testing.T) {
	for name, prepare := range map[string]func(*etcdfake.Etcd){
		"AsItIs":               func(*etcdfake.Etcd) {},
		"OfFewOperations":      func(e *etcdfake.Etcd) { e.MaxOps = 16 },
		"OfOneOperation":       func(e *etcdfake.Etcd) { e.MaxOps = 1 },
		"ThatIsAwayForAMoment": func(e *etcdfake.Etcd) { e.Fail = onceAway() },
	} {
		t.Run(name, func(t *testing.T) {
			withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
				var all []*reader
				for i := range 30 {
					e.Put(fmt.Sprintf("/%d/1", i), "")
					e.Put(fmt.Sprintf("/%d/2", i), "")
					all = append(all, open(h, fmt.Sprintf("/%d/", i)))
					all[i].now()
				}
				e.Delete("/7/1", "/8/1", "/8/2")
				synctest.Wait()
				e.Requests("Range")
				e.Set(prepare)
				h.Check()
				time.Sleep(20 * time.Second)
				assert.Zero(t, e.Requests("Range"))
				e.Put("/9/3", "")
				for i, r := range all {
					assert.Equal(t, e.Keys(fmt.Sprintf("/%d/", i)), r.now())
				}
			})
		})
	}
}

// onceAway has one request fail.
func onceAway() func(string, []string) error {
	n := 0
	return func(string, []string) error {
		if n++; n == 1 {
			return etcdfake.ErrAway
		}
		return nil
	}
}

func TestStoreOfWhichTheHistoryIsCompactedIsListedWhereItHasTo(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/idle/1", "")
		idle := open(h, "/idle/")
		idle.now()
		e.Put("/busy/1", "")
		busy := open(h, "/busy/")
		busy.now()
		e.Compact()
		e.Requests("Range")
		h.Check()
		time.Sleep(5 * time.Second)
		assert.Equal(t, 1, e.Requests("Range"), "of the idle one nothing can be told")
		assert.Equal(t, e.Keys("/idle/"), idle.now())
		assert.Equal(t, e.Keys("/busy/"), busy.now())
	})
}

// Progress that etcd tells of is what spares the idle one that.
func TestStoreThatTellsOfItsProgressCanBeCompared(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/idle/1", "")
		idle := open(h, "/idle/")
		idle.now()
		e.Put("/busy/1", "")
		e.Progress()
		idle.now()
		assert.Equal(t, e.Revision(), idle.Revision())
		e.Compact()
		e.Requests("Range")
		h.Check()
		time.Sleep(5 * time.Second)
		assert.Zero(t, e.Requests("Range"))
	})
}

// The one of before is left for a while, and is the older one whatever its revision was.
func TestOfAThingWithAKeyInEachOfTwoStoresTheOneOfTheNewStoreIsTold(t *testing.T) {
	for _, listed := range []bool{false, true} {
		withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
			for range 20 {
				e.Put("/elsewhere", "")
			}
			e.Put(keyOf("1"), "")
			s, l := subscribe(h, viewOf())
			s.Start(time.Second)
			assert.Equal(t, "1", l.hosts())
			e.Wipe()
			h.Check()
			if listed {
				time.Sleep(checkSpread + relistSpread)
			}
			e.Put(keyOf("1?weight=5"), "")
			time.Sleep(checkSpread + relistSpread)
			assert.Equal(t, "1", l.hosts())
			assert.Equal(t, "5", l.known["10.0.0.1:20000"])
			late, l2 := subscribe(h, viewOf())
			late.Start(time.Second)
			assert.Equal(t, "1", l2.hosts())
			assert.Equal(t, "5", l2.known["10.0.0.1:20000"])
			time.Sleep(2 * session)
			assert.Equal(t, "1", l.hosts())
			assert.Equal(t, "5", l.known["10.0.0.1:20000"])
		})
	}
}

// So is a backup to be restored: with a revision that nobody has seen yet, before which
// nothing is known. What has been put since the backup is there soon again.
func TestWhatABackupLacksIsLeftForASessionIfItsHistoryIsCompacted(t *testing.T) {
	for name, last := range map[string]func(*etcdfake.Etcd){
		"the last change was a put":      func(e *etcdfake.Etcd) { e.Put("/a/since", "") },
		"the last change was a deletion": func(e *etcdfake.Etcd) { e.Put("/a/since", ""); e.Put("/a/gone", ""); e.Delete("/a/gone") },
		"it was put under another lease": func(e *etcdfake.Etcd) { e.Put("/a/since", ""); e.PutUnder("/a/backup", "", 7) },
	} {
		for _, checked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", checked: ", checked), func(t *testing.T) {
				withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
					e.Put("/a/backup", "")
					r := open(h, "/a/")
					r.now()
					last(e)
					before := maps.Clone(r.now())
					e.Away(true)
					e.Wipe()
					e.Put("/a/backup", "")
					for range 20 {
						e.Put("/other", "")
					}
					e.Compact()
					e.Away(false)
					if checked {
						h.Check()
					}
					time.Sleep(h.session() / 2)
					assert.Equal(t, before, r.now())
					time.Sleep(h.session())
					assert.Equal(t, e.Keys("/a/"), r.now())
				})
			})
		}
	}
}
