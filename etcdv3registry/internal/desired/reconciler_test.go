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
	assert.Equal(t, []Key{key}, b.keys)
	assert.Equal(t, []bool{true}, b.wanted)
	assert.Same(t, b.entries[0], r.entries[key.Name], "what is written is what is looked after")
}
