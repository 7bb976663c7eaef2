// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reached is an address that accepts connections, and its port.
func reached(t *testing.T) (port int) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listening.Close() })
	return listening.Addr().(*net.TCPAddr).Port
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

// The framework leaves out whom it cannot connect to, and is not asked again by
// anybody else.
func TestWhoTheDirectoryHasNotTakenInIsToldAgainUntilItHas(t *testing.T) {
	w := newWorld(t)
	w.mapTo("a")
	w.put("a", "10.0.0.1", 1)
	w.set("a", "127.0.0.1", serving("a", "127.0.0.1", reached(t), 1, 7))
	s, d := refer(t, w)
	d.refuse("127.0.0.1", true)
	require.NoError(t, s.start())
	assert.Equal(t, []string{"10.0.0.1"}, d.hosts())
	d.refuse("127.0.0.1", false)
	weight := int64(1)
	eventually(t, "it is tried again, whatever else changes", func() bool {
		weight++
		w.put("a", "10.0.0.1", weight)
		return len(d.hosts()) == 2
	})
	s.close()
	assert.Nil(t, s.retry, "there is nothing more to do")
}

func TestWhoTheDirectoryHasEndedByItselfIsToldAgain(t *testing.T) {
	w := newWorld(t)
	w.mapTo("a")
	w.set("a", "127.0.0.1", serving("a", "127.0.0.1", reached(t), 1, 7))
	s, d := refer(t, w)
	require.NoError(t, s.start())
	require.Len(t, d.hosts(), 1)
	d.end("127.0.0.1")
	eventually(t, "it is called again", func() bool { return len(d.hosts()) == 1 })
}

// It came back while nobody looked: to etcd it is another one, and the directory
// does not take the one that it has ended.
func TestWhoCameBackIsAnotherToADirectoryThatHasEndedTheOneBefore(t *testing.T) {
	w := newWorld(t)
	w.mapTo("a")
	port := reached(t)
	w.set("a", "127.0.0.1", serving("a", "127.0.0.1", port, 1, 7))
	s, d := refer(t, w)
	require.NoError(t, s.start())
	before := d.keys()
	w.set("a", "127.0.0.1", serving("a", "127.0.0.1", port, 1, 9))
	d.tombstone()
	eventually(t, "it is called", func() bool { return len(d.hosts()) == 1 })
	assert.NotEqual(t, before, d.keys())
}

func TestWhoCannotBeReachedIsNotTold(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listening.Close())
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.set("a", "127.0.0.1", serving("a", "127.0.0.1", listening.Addr().(*net.TCPAddr).Port, 1, 7))
		s, d := refer(t, w)
		d.refuse("127.0.0.1", true)
		require.NoError(t, s.start())
		d.told()
		time.Sleep(20 * time.Second) // in which it is tried a few times
		assert.Empty(t, d.told())
	})
}
