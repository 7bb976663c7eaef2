// SPDX-License-Identifier: Apache-2.0

package lease

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
	k := New(Config{TTL: time.Second})
	k.start.Do(func() {}) // what the writer does is done below
	key := Key{Name: "/dubbo/org.a.Greeter/providers/a"}
	k.Put(key)
	k.setAway(errors.New("etcd is away"))
	k.Delete(key.Name)
	k.Put(key)

	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.nextBatchLocked()
	require.NotNil(t, b)
	assert.Equal(t, []Key{key}, b.keys)
	assert.Equal(t, []bool{true}, b.wanted)
	assert.Same(t, b.entries[0], k.entries[key.Name], "what is written is what is looked after")
}
