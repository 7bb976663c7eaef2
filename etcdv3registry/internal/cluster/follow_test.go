// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// network has connections that are no sockets, so that time can be virtual.
type network struct {
	accept chan net.Conn
	ended  chan struct{}

	mu   sync.Mutex // guards what follows
	away bool
	open []net.Conn
}

func newNetwork() *network { return &network{accept: make(chan net.Conn), ended: make(chan struct{})} }

func (n *network) dial(ctx context.Context, _ string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case n.accept <- far:
		n.open = append(n.open, near)
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut ends all connections; while it is away there are no new ones.
func (n *network) cut(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.open {
		_ = conn.Close()
	}
	n.open, n.away = nil, away
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.accept:
		return conn, nil
	case <-n.ended:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	close(n.ended)
	return nil
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "network"} }

// etcd is a cluster of which the members change.
type etcd struct {
	*network
	*server

	mu     sync.Mutex // guards what follows
	all    []*etcdserverpb.Member
	err    error
	asked  []time.Duration // when it was asked for its members
	begun  time.Time
	client *clientv3.Client
}

// following runs a test with a client that follows the members.
func following(t *testing.T, test func(*testing.T, *etcd)) {
	synctest.Test(t, func(t *testing.T) {
		e := &etcd{network: newNetwork(), server: &server{}, begun: time.Now()}
		e.server.members = e.list
		e.is("10.0.0.1")
		e.serveOn(t, e.network)
		m := newMembers(Config{Endpoints: []string{"10.0.0.1:2379"}, Timeout: time.Second})
		var err error
		e.client, err = clientv3.New(clientv3.Config{
			Endpoints: m.configured, MaxUnaryRetries: 3, Logger: zap.NewNop(),
			DialOptions: []grpc.DialOption{
				grpc.WithContextDialer(e.dial), grpc.WithStatsHandler(m), reconnect(DefaultSession), grpc.WithChainUnaryInterceptor(failFast),
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.follow(ctx, e.client)
		}()
		test(t, e)
		cancel()
		<-ended
		require.NoError(t, e.client.Close())
		e.grpc.Stop()
		time.Sleep(time.Minute) // the timers of gRPC run out
	})
}

func (e *etcd) list() ([]*etcdserverpb.Member, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, time.Since(e.begun))
	return e.all, e.err
}

// is replaces the members.
func (e *etcd) is(hosts ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = nil
	for _, host := range hosts {
		e.all = append(e.all, &etcdserverpb.Member{ClientURLs: []string{"http://" + host + ":2379"}})
	}
}

func (e *etcd) fails(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// questions is how often it was asked since that was asked last.
func (e *etcd) questions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.asked)
	e.asked = nil
	return n
}

func TestMembersAreAskedForAtOnceAndOnceMoreAndThenWhenAConnectionEnds(t *testing.T) {
	following(t, func(t *testing.T, e *etcd) {
		log := logtest.Record(t)
		e.is("10.0.0.1", "10.0.0.2")
		time.Sleep(time.Second) // gRPC connects by timers
		assert.Equal(t, []string{"10.0.0.1:2379", "10.0.0.2:2379"}, e.client.Endpoints())
		assert.Len(t, log.Lines("INFO [etcdv3] using etcd at [10.0.0.1:2379 10.0.0.2:2379] from now on"), 1)
		assert.Equal(t, 1, e.questions())
		time.Sleep(askAgain + time.Second)
		assert.Equal(t, 1, e.questions(), "a member may have been added meanwhile")
		time.Sleep(20 * time.Minute)
		assert.Zero(t, e.questions(), "nothing has happened")

		e.is("10.0.0.3", "10.0.0.2")
		e.cut(false)
		time.Sleep(3 * time.Second)
		assert.Equal(t, []string{"10.0.0.1:2379", "10.0.0.3:2379", "10.0.0.2:2379"}, e.client.Endpoints(), "what is configured stays")
		assert.Len(t, log.Lines("using etcd at"), 1)
		e.questions()
		e.is("10.0.0.3", "10.0.0.2", "10.0.0.4") // the successor comes later
		time.Sleep(askAgain + 3*time.Second)
		assert.Contains(t, e.client.Endpoints(), "10.0.0.4:2379")
	})
}

func TestEtcdIsAskedForItsMembersUntilItIsThere(t *testing.T) {
	following(t, func(t *testing.T, e *etcd) {
		log := logtest.Record(t)
		e.is("10.0.0.1", "10.0.0.2")
		e.cut(true)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, []string{"10.0.0.1:2379"}, e.client.Endpoints())
		assert.Empty(t, log.Lines("cannot ask"), "that it is away is told by others")
		e.cut(false)
		time.Sleep(15 * time.Second)
		assert.Len(t, e.client.Endpoints(), 2)
	})
}

func TestAnEtcdThatDoesNotTellItsMembersIsUsedAsConfigured(t *testing.T) {
	following(t, func(t *testing.T, e *etcd) {
		log := logtest.Record(t)
		e.fails(rpctypes.ErrGRPCPermissionDenied)
		time.Sleep(30 * time.Second)
		assert.Equal(t, 1, e.questions(), "it would refuse again")
		lines := log.Take()
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "WARN [etcdv3] cannot ask etcd for its members, going on with [10.0.0.1:2379]: list the members of the cluster: etcdserver: permission denied")
		e.fails(nil)
		e.is("10.0.0.2")
		e.cut(false)
		time.Sleep(3 * time.Second)
		assert.Contains(t, e.client.Endpoints(), "10.0.0.2:2379")
	})
}
