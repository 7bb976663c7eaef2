// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// using acquires a cluster, and releases it when the test ends.
func using(t *testing.T, cfg Config) *Cluster {
	cfg.Timeout = 5 * time.Second
	cfg.Retry = retry.NTimes(0, 0)
	c := Acquire(cfg)
	t.Cleanup(func() { assert.NoError(t, c.Release(context.Background())) })
	return c
}

// get asks for a key.
func get(ctx context.Context, c *Cluster) error {
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	_, err = client.Get(ctx, "/dubbo")
	return err
}

func TestTheFirstRequestConnectsAndAllOthersGoOverThatConnection(t *testing.T) {
	s := serve(t, &server{})
	c := using(t, Config{Endpoints: []string{s.address}})
	connections, _ := s.count()
	assert.Zero(t, connections, "nobody has asked anything")
	var asking sync.WaitGroup
	clients := make([]*clientv3.Client, 20)
	for i := range clients {
		asking.Go(func() {
			var err error
			clients[i], err = c.Client(t.Context())
			assert.NoError(t, err)
			assert.NoError(t, get(t.Context(), c))
		})
	}
	asking.Wait()
	for _, client := range clients {
		assert.Same(t, clients[0], client)
	}
	connections, requests := s.count()
	assert.Equal(t, 1, connections)
	assert.Equal(t, 20, requests)
}

func TestARequestToAnEtcdThatIsNotThereSaysSoAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c := using(t, Config{Endpoints: []string{l.Addr().String()}})
	begun := time.Now()
	err = get(t.Context(), c)
	require.ErrorContains(t, err, "connection refused")
	assert.True(t, retry.CanPass(err))
	assert.Less(t, time.Since(begun), 3*time.Second)
}

func TestACredentialThatEtcdRefusesIsAnErrorUntilItIsRight(t *testing.T) {
	right := false
	s := serve(t, &server{authed: func(r *etcdserverpb.AuthenticateRequest) error {
		assert.Equal(t, "secret", r.Password)
		if !right {
			return rpctypes.ErrGRPCAuthFailed
		}
		return nil
	}})
	c := using(t, Config{Endpoints: []string{s.address}, Username: "shop", Password: "secret"})
	err := get(t.Context(), c)
	require.ErrorContains(t, err, "connect to etcd at ["+s.address+"] as user \"shop\": ")
	require.ErrorIs(t, err, rpctypes.ErrAuthFailed)
	assert.NotContains(t, err.Error(), "secret")
	assert.False(t, retry.CanPass(err))

	right = true
	require.NoError(t, get(t.Context(), c))
	assert.Equal(t, []string{"token of shop"}, s.tokens)
}

// etcd forgets its tokens when it is restarted, say, and the password has been
// changed there and in the file.
func TestAPasswordInAFileIsReadAtEachAuthentication(t *testing.T) {
	var password atomic.Value
	password.Store("first")
	s := serve(t, &server{authed: func(r *etcdserverpb.AuthenticateRequest) error {
		if r.Password != password.Load() {
			return rpctypes.ErrGRPCAuthFailed
		}
		return nil
	}})
	file := filepath.Join(t.TempDir(), "password")
	write := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	write("first\n")
	c := using(t, Config{Endpoints: []string{s.address}, Username: "shop", PasswordFile: file})
	require.NoError(t, get(t.Context(), c))
	password.Store("second")
	require.NoError(t, get(t.Context(), c), "the token is good")
	s.forget()
	require.ErrorIs(t, get(t.Context(), c), rpctypes.ErrAuthFailed)
	write("second")
	require.NoError(t, get(t.Context(), c))

	for content, reason := range map[string]string{"": "it is empty", "gone": "no such file"} {
		write(content)
		if content == "gone" {
			require.NoError(t, os.Remove(file))
		}
		err := get(t.Context(), using(t, Config{Endpoints: []string{s.address}, Username: "inn", PasswordFile: file}))
		require.ErrorContains(t, err, "password-file=")
		require.ErrorContains(t, err, reason)
	}
}

// Whatever answers, this process has so much memory only.
func TestAnAnswerThatIsTooLargeIsNotTaken(t *testing.T) {
	s := serve(t, &server{})
	c := using(t, Config{Endpoints: []string{s.address}})
	require.NoError(t, get(t.Context(), c))
	s.mu.Lock()
	s.large = maxAnswer
	s.mu.Unlock()
	err := get(t.Context(), c)
	require.ErrorContains(t, err, "message larger than max")
	assert.Equal(t, codes.ResourceExhausted, status.Code(err))
}

// One connects, and waits for etcd to let it in.
func TestWhoWaitsForAConnectionGoesWhenItWantsTo(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := serve(t, &server{authed: func(*etcdserverpb.AuthenticateRequest) error {
		close(asked)
		<-answer
		return rpctypes.ErrGRPCAuthFailed
	}})
	t.Cleanup(func() { close(answer) })
	c := Acquire(Config{Endpoints: []string{s.address}, Username: "shop", Password: "secret", Timeout: time.Minute})
	first := make(chan error, 1)
	go func() { first <- get(context.Background(), c) }()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, get(ctx, c), context.DeadlineExceeded, "another one, with a context of its own")

	second := make(chan error, 1)
	go func() { second <- get(context.Background(), c) }()
	begun := time.Now()
	require.NoError(t, c.Release(t.Context()))
	require.Error(t, <-first)
	require.Error(t, <-second)
	assert.Less(t, time.Since(begun), 10*time.Second, "nobody waits for the answer any more")
	require.ErrorIs(t, get(t.Context(), c), context.Canceled, "and nobody connects again")
}

func TestAConnectionEndsWithTheLastUser(t *testing.T) {
	s := serve(t, &server{})
	cfg := Config{Endpoints: []string{s.address}, Timeout: time.Second}
	first, second := Acquire(cfg), Acquire(cfg)
	require.NoError(t, get(t.Context(), first))
	require.NoError(t, first.Release(t.Context()))
	require.NoError(t, get(t.Context(), second))
	require.NoError(t, second.Release(t.Context()))
	err := get(t.Context(), second)
	require.Error(t, err)
	assert.False(t, retry.CanPass(err), "it is of no use to try again: %v", err)
	third := using(t, cfg)
	require.NoError(t, get(t.Context(), third))
	connections, _ := s.count()
	assert.Equal(t, 2, connections)
}

func TestTheAddressesThatMembersAdvertiseAreUsedIfThatIsConfigured(t *testing.T) {
	other := serve(t, &server{})
	s := &server{members: func() ([]*etcdserverpb.Member, error) {
		return []*etcdserverpb.Member{{ClientURLs: []string{"http://" + other.address}}}, nil
	}}
	serve(t, s)
	c := using(t, Config{Endpoints: []string{s.address}, SyncEndpoints: true})
	require.NoError(t, get(t.Context(), c))
	client, err := c.Client(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(client.Endpoints()) == 2 }, 10*time.Second, 10*time.Millisecond)
	s.grpc.Stop()
	require.Eventually(t, func() bool { return get(t.Context(), c) == nil }, 10*time.Second, 10*time.Millisecond)
	_, requests := other.count()
	assert.NotZero(t, requests, "the configured one is gone")
}

// A stream has the token that it was opened with, which ends.
func TestWatchesMoveToAnotherStreamWhenTheTokenOfTheirsHasEnded(t *testing.T) {
	s := serve(t, &server{})
	c := using(t, Config{Endpoints: []string{s.address}, Username: "shop", Password: "secret"})
	for n := range 3 {
		feed := c.Watches.Open(fmt.Sprintf("/%d/", n))
		defer feed.Close()
		require.NoError(t, feed.Ready(t.Context()))
		watches := n*(n+1)/2 + n + 1 // each time the new one, and those that were there
		require.Eventually(t, func() bool { return s.watched() == watches }, 10*time.Second, 10*time.Millisecond, "%d, not %d", s.watched(), watches)
		s.mu.Lock()
		assert.Equal(t, n+1, s.streams, "all on one")
		s.mu.Unlock()
		s.forgetStreams()
	}
}

func TestBehindANewConnectionThereMayBeAnotherStore(t *testing.T) {
	s := &server{}
	serve(t, s)
	c := using(t, Config{Endpoints: []string{s.address}})
	feed := c.Watches.Open("/dubbo/")
	defer feed.Close()
	require.NoError(t, feed.Ready(t.Context()))
	require.Eventually(t, func() bool { return s.watched() == 1 }, 10*time.Second, 10*time.Millisecond)
	s.disconnect()
	require.Eventually(t, func() bool { return s.asked() > 0 }, 10*time.Second, 10*time.Millisecond, "whether it is the same")
	_, requests := s.count()
	assert.Equal(t, 1, requests, "it is, and nothing is listed again")
}
