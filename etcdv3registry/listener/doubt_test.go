// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// slowPages has each page of a listing take a while, after which etcd has answered.
func slowPages(e *etcdfake.Etcd) {
	e.Delay = func(int) time.Duration { return 500 * time.Millisecond }
}

// A prefix is opened while etcd is being replaced: the first pages are of one store, the
// last ones of the other, or all are of the first one.
func TestAListingThatAnotherStoreHasAnsweredInPartIsMadeAgain(t *testing.T) {
	for pages := range 3 {
		withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
			for i := range 7 {
				e.Put(fmt.Sprintf("/a/before/%d", i), "")
			}
			e.Set(slowPages)
			r := open(h, "/a/")
			time.Sleep(time.Duration(pages)*500*time.Millisecond + time.Millisecond)
			e.Wipe()
			h.Check()
			for i := range 9 {
				e.Put(fmt.Sprintf("/a/middle/%d", i), "")
			}
			e.Set(func(e *etcdfake.Etcd) { e.Delay = nil })
			time.Sleep(5*time.Second + session)
			assert.Equal(t, e.Keys("/a/"), r.now())
		})
	}
}

// What the client had received of the store before is read after the new stream has
// answered.
func TestWhatIsTakenInAfterTheQuestionWasMadeIsComparedToo(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		r := open(h, "/a/")
		r.now()
		e.Put("/a/1", "")
		e.Wipe()
		h.Check()
		time.Sleep(5*time.Second + session)
		assert.Empty(t, r.now())
	})
}

// A mirror has to be listed, but etcd does not let it be, when the store is another one.
func TestAListingThatWasDueBeforeTheStoreWasAnotherLeavesWhatMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, Session: session})
		defer h.Close()
		e.Put("/a/1", "")
		e.Put("/b/1", "")
		r := open(h, "/a/")
		r.now()
		open(h, "/b/").now()
		e.EndWatches()
		e.Put("/elsewhere", "")
		e.Put("/elsewhere", "")
		e.Put("/elsewhere", "")
		e.Compact()
		e.Set(func(e *etcdfake.Etcd) { e.Fail = refuseUnder("/a/") })
		time.Sleep(10 * time.Second)
		e.Wipe()
		h.Check()
		time.Sleep(checkSpread + relistSpread)
		e.Set(func(e *etcdfake.Etcd) { e.Fail = nil })
		time.Sleep(session / 2)
		assert.Contains(t, r.now(), "/a/1", "what may come back is left for a while")
		time.Sleep(2 * session)
		assert.Empty(t, r.now())
	})
}

// Each store's owners have the same time.
func TestWhatWasPutBetweenTwoOtherStoresIsLeftForAsLongAsTheRest(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put("/a/1", "")
		e.Put("/a/2", "")
		r := open(h, "/a/")
		r.now()
		e.Wipe()
		h.Check()
		time.Sleep(session - time.Second)
		e.Put("/a/1", "")
		r.now()
		e.Wipe()
		h.Check()
		time.Sleep(checkSpread + relistSpread + 2*time.Second)
		assert.Equal(t, map[string]string{"/a/1": ""}, r.now())
		time.Sleep(session)
		assert.Empty(t, r.now())
	})
}
