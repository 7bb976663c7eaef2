// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// etcd has one value of a key, refuses another, and the key is not wanted any
// more.
func TestAKeyOfWhichAnotherValueIsRefusedIsDeletedAllTheSame(t *testing.T) {
	r := New(Config{TTL: time.Second})
	r.start.Do(func() {}) // what the writer does is done below
	first := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "1"}
	r.Put(first)
	e := r.entries[first.Name]
	r.mu.Lock()
	b := r.nextBatchLocked()
	require.NotNil(t, b)
	e.synced, e.exists = true, true // etcd took it
	e.tellLocked(nil)
	r.mu.Unlock()

	r.Replace(first, Key{Name: first.Name, Value: "too large"})
	r.mu.Lock()
	b = r.nextBatchLocked()
	r.mu.Unlock()
	_ = r.refused(t.Context(), nil, b, errors.New("it is too large"))
	r.Delete(first)

	r.mu.Lock()
	defer r.mu.Unlock()
	b = r.nextBatchLocked()
	require.NotNil(t, b, "the first value is still there")
	require.Len(t, b.pieces, 1)
	assert.False(t, b.pieces[0].wanted)
}

// A key gets another value while etcd is asked to take the first.
func TestWhoHasReplacedAKeyIsNotToldThatTheOneBeforeIsRefused(t *testing.T) {
	r := New(Config{TTL: time.Second})
	r.start.Do(func() {}) // what the writer does is done below
	large := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "too large"}
	r.Put(large)
	r.mu.Lock()
	b := r.nextBatchLocked()
	r.mu.Unlock()
	small := Key{Name: large.Name, Value: "1"}
	change := r.Replace(large, small)
	_ = r.refused(t.Context(), nil, b, errors.New("it is too large"))
	r.requeue(b)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, change.Wait(ctx), context.Canceled, "nothing is known of it yet")
	r.mu.Lock()
	defer r.mu.Unlock()
	b = r.nextBatchLocked()
	require.NotNil(t, b)
	require.Len(t, b.pieces, 1)
	assert.Equal(t, small, b.pieces[0].key)
}
