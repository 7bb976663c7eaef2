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

// Their room is taken for a session.
func TestWhatIsLeftOutForTheKeysOfAnotherStoreIsListedWhenThoseAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		h := NewHub(Config{Dial: e.Dial(t), Timeout: time.Second, Session: session, MaxKeys: 10})
		defer h.Close()
		for i := range 8 {
			e.Put(fmt.Sprintf("/a/before/%d", i), "")
		}
		r := open(h, "/a/")
		defer r.Close()
		assert.Len(t, r.now(), 8)
		e.Wipe()
		h.Check()
		time.Sleep(checkSpread + relistSpread)
		for i := range 8 {
			e.Put(fmt.Sprintf("/a/after/%d", i), "")
		}
		assert.Len(t, r.now(), 10)
		time.Sleep(2 * session)
		assert.Equal(t, e.Keys("/a/"), r.now())
		assert.False(t, h.Status().Mirrors[0].Partial)
	})
}
