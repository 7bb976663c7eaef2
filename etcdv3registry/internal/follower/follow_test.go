// SPDX-License-Identifier: Apache-2.0

package follower

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// withEtcd runs a test with an etcd of its own, in time that passes by itself.
func withEtcd(t *testing.T, test func(*testing.T, *etcdfake.Etcd, *listener.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := etcdfake.New()
		hub := listener.NewHub(listener.Config{Dial: e.Dial(t)})
		defer hub.Close()
		test(t, e, hub)
	})
}

// told is what a listener was told.
type told struct {
	mu     sync.Mutex // guards values
	values []string
}

func (l *told) tell(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.Exists {
		s.Value = "nothing"
	}
	l.values = append(l.values, s.Value)
}

func (l *told) since() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	values := l.values
	l.values = nil
	return values
}

func TestListenerIsToldOfItsKeyFromWhatReadyHasFoundOn(t *testing.T) {
	withEtcd(t, func(t *testing.T, e *etcdfake.Etcd, hub *listener.Hub) {
		e.Put("/a/b", "1")
		f, l := Open(hub, "/a/", "/a/b"), &told{}
		require.NoError(t, f.Ready(t.Context()))
		assert.Equal(t, State{Value: "1", Exists: true, Known: true}, f.State())
		f.Start(nil, l.tell)
		e.Put("/a/another", "x")
		assert.Empty(t, l.since())
		e.Put("/a/b", "2")
		assert.Equal(t, []string{"2"}, l.since())
		e.Delete("/a/b")
		assert.Equal(t, []string{"nothing"}, l.since())
		f.Close()
		e.Put("/a/b", "3")
		assert.Empty(t, l.since())
	})
}

func TestWhatChangesDuringAPauseIsToldOnce(t *testing.T) {
	withEtcd(t, func(t *testing.T, e *etcdfake.Etcd, hub *listener.Hub) {
		f, l := Open(hub, "/a/", "/a/b"), &told{}
		f.Start(func(ctx context.Context) {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
		}, l.tell)
		e.Put("/a/b", "1")
		assert.Empty(t, l.since())
		e.Put("/a/b", "2")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"2"}, l.since())
		e.Put("/a/b", "3")
		synctest.Wait()
		f.Close()
		assert.Empty(t, l.since(), "it was closed in a pause")
	})
}
