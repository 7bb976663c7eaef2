// SPDX-License-Identifier: Apache-2.0

package lease

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
	k := New(Config{TTL: time.Second})
	k.start.Do(func() {}) // what the writer does is done below
	first := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "1"}
	k.Put(first)
	e := k.entries[first.Name]
	k.mu.Lock()
	b := k.nextBatchLocked()
	require.NotNil(t, b)
	e.have, e.put = true, true // etcd took it
	e.tellLocked(nil)
	k.mu.Unlock()

	k.Replace(first.Name, Key{Name: first.Name, Value: "too large"})
	k.mu.Lock()
	b = k.nextBatchLocked()
	k.mu.Unlock()
	_ = k.refused(t.Context(), nil, b, errors.New("it is too large"))
	k.Delete(first.Name)

	k.mu.Lock()
	defer k.mu.Unlock()
	b = k.nextBatchLocked()
	require.NotNil(t, b, "the first value is still there")
	assert.Equal(t, []bool{false}, b.wanted)
}

// A key gets another value while etcd is asked to take the first.
func TestWhoHasReplacedAKeyIsNotToldThatTheOneBeforeIsRefused(t *testing.T) {
	k := New(Config{TTL: time.Second})
	k.start.Do(func() {}) // what the writer does is done below
	large := Key{Name: "/services/greeter/10.0.0.1:20000", Value: "too large"}
	k.Put(large)
	k.mu.Lock()
	b := k.nextBatchLocked()
	k.mu.Unlock()
	small := Key{Name: large.Name, Value: "1"}
	change := k.Replace(large.Name, small)
	_ = k.refused(t.Context(), nil, b, errors.New("it is too large"))
	k.requeue(b)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, change.Wait(ctx), context.Canceled, "nothing is known of it yet")
	k.mu.Lock()
	defer k.mu.Unlock()
	b = k.nextBatchLocked()
	require.NotNil(t, b)
	assert.Equal(t, []Key{small}, b.keys)
}
