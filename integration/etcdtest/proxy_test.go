// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"bufio"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestEtcdClientComesBackAfterCutAndRestore(t *testing.T) {
	t.Parallel()
	s := Start(t)
	p := NewProxy(t, s.Endpoint())
	client := s.NewClient(func(cfg *clientv3.Config) { cfg.Endpoints = []string{p.Addr()} })
	put(t, client, "key", "value")
	require.Equal(t, 1, p.Accepted())
	require.Equal(t, 1, p.Open())

	p.Cut()
	require.Zero(t, p.Open())
	_, err := client.Get(deadline(t, brief), "key")
	require.Error(t, err)
	require.Equal(t, "value", get(t, s.Client(), "key"), "others still reach the server")
	p.Restore()

	require.Equal(t, "value", get(t, client, "key"))
	require.Equal(t, 2, p.Accepted())
}

func TestServerAndProxyAreReachedAtManyAddresses(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("127.0.0.1 is the only loopback address")
	}
	s := Start(t, WithEveryAddress())
	p := NewProxyForMany(t, s.Endpoint())
	put(t, s.Client(), "key", "value")
	known := map[string]bool{}
	for _, hostPort := range []string{s.Endpoint(), p.Addr()} {
		for _, i := range []int{0, 1, 1000, 1 << 20} {
			addr := Loopback(hostPort, i)
			require.NotContains(t, known, addr)
			known[addr] = true
			client := s.NewClient(func(cfg *clientv3.Config) { cfg.Endpoints = []string{addr} })
			require.Equal(t, "value", get(t, client, "key"))
		}
	}
	require.Equal(t, 4, p.Accepted())
}

func TestEtcdClientIsUnansweredWhileFrozen(t *testing.T) {
	t.Parallel()
	s := Start(t)
	p := NewProxy(t, s.Endpoint())
	client := s.NewClient(func(cfg *clientv3.Config) { cfg.Endpoints = []string{p.Addr()} })
	put(t, client, "key", "value")

	p.Freeze()
	requireUnanswered(t, client)
	p.Thaw()

	require.Equal(t, "value", get(t, client, "key"))
	require.Equal(t, 1, p.Accepted(), "the connection outlived the freeze")
}

func TestFrozenProxyAcceptsAndLosesNothing(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, echo(t))
	p.Freeze()
	p.Freeze()
	conn := dial(t, p.Addr())
	require.Eventually(t, func() bool { return p.Open() == 1 }, patience, poll)

	send(t, conn, "one\n")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(brief)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	p.Thaw()
	p.Thaw()
	send(t, conn, "two\n")

	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	lines := bufio.NewScanner(conn)
	require.True(t, lines.Scan())
	require.Equal(t, "one", lines.Text())
	require.True(t, lines.Scan())
	require.Equal(t, "two", lines.Text())
}

func TestCutProxyRefusesUntilRestore(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, echo(t))
	conn := dial(t, p.Addr())
	require.Eventually(t, func() bool { return p.Open() == 1 }, patience, poll)
	p.Freeze() // a cut ends frozen connections too
	send(t, conn, "held back")

	p.Cut()
	p.Cut()
	requireClosed(t, conn)
	_, err := net.Dial("tcp", p.Addr())
	require.Error(t, err)
	p.Restore()
	p.Restore()

	dial(t, p.Addr())
	require.Eventually(t, func() bool { return p.Accepted() == 2 && p.Open() == 1 }, patience, poll)
}

func TestProxyClosesWithItsTarget(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, reserveAddr(t)) // nothing listens there

	requireClosed(t, dial(t, p.Addr()))

	require.Eventually(t, func() bool { return p.Open() == 0 }, patience, poll)
	require.Equal(t, 1, p.Accepted())
}

// echo returns the address of a server that sends back what it receives.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", reserveAddr(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
