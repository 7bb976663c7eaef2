// SPDX-License-Identifier: Apache-2.0

package follower

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// withoutEtcd returns a hub that never reaches etcd.
func withoutEtcd(t *testing.T) *listener.Hub {
	hub := listener.NewHub(listener.Config{Dial: func(context.Context) (*clientv3.Client, error) {
		return nil, errors.New("there is none")
	}})
	t.Cleanup(hub.Close)
	return hub
}

func TestNothingIsKnownAndToldWhileEtcdIsAway(t *testing.T) {
	f := Open(withoutEtcd(t), "/a/", "/a/b")
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.Ready(ctx), context.DeadlineExceeded)
	f.Start(nil, func(State) { t.Error("it was told something") })
	assert.Equal(t, State{}, f.State())
	assert.Equal(t, "/a/b", f.Key())
}

func TestCloseEndsTheWaitForEtcd(t *testing.T) {
	f := Open(withoutEtcd(t), "/a/", "/a/b")
	ready := make(chan error)
	go func() { ready <- f.Ready(t.Context()) }()
	f.Close()
	select {
	case err := <-ready:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(10 * time.Second):
		require.Fail(t, "it still waits")
	}
	f.Start(nil, func(State) { t.Error("it was told something") })
	f.Close()
}
