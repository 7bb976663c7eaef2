// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// The last reader leaves at the moment when etcd goes away.
func TestOfAPrefixThatNobodyReadsAnyMoreNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logtest.Record(t)
		h := NewHub(Config{Dial: etcdfake.New().Dial(t)})
		defer h.Close()
		f := h.Open("/a/")
		h.mu.Lock()
		m := h.mirrors[mirrored{prefix: "/a/"}]
		h.mu.Unlock()
		f.Close()
		h.fails(m, etcdfake.ErrAway)
		synctest.Wait()
		assert.Empty(t, log.Take())
		assert.Empty(t, h.failing)
	})
}
