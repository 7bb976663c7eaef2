// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A key is put while an attempt to write others is under way; that fails; the key
// is deleted, and put again, before the next attempt.
func TestAKeyThatIsPutAgainBeforeAnythingWasSentStaysWanted(t *testing.T) {
	r := New(Config{TTL: time.Second})
	r.start.Do(func() {}) // what the writer does is done below
	key := Key{Name: "/dubbo/org.a.Greeter/providers/a"}
	r.Put(key)
	r.setAway(errors.New("etcd is away"))
	r.Delete(key)
	r.Put(key)

	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.nextBatchLocked()
	require.NotNil(t, b)
	require.Len(t, b.pieces, 1)
	assert.Equal(t, key, b.pieces[0].key)
	assert.True(t, b.pieces[0].wanted)
	assert.Same(t, b.pieces[0].entry, r.entries[key.Name], "what is written is what is looked after")
}
