// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

func TestConnectionThatIsMadeForTheFirstTimeIsNotMadeAgain(t *testing.T) {
	log := logtest.Record(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), reconnect(time.Second))
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		monitor(ctx, conn, []string{"etcd"}, &link{}, func(bool) {})
	}()
	defer func() { cancel(); <-ended }()

	var lines []string
	var first string
	await := func(line string) {
		t.Helper()
		require.Eventually(t, func() bool {
			conn.Connect()
			for _, l := range log.Lines("etcd at [etcd]") {
				if first == "" {
					first = l
				}
				l, _, _ = strings.Cut(l, ",")
				l, _, _ = strings.Cut(l, ": ")
				lines = append(lines, strings.ReplaceAll(l, "[etcdv3] ", ""))
			}
			return len(lines) > 0 && lines[len(lines)-1] == line
		}, 30*time.Second, 10*time.Millisecond, "%s", line)
	}
	// serve listens until what it returns is called.
	serve := func() func() {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		server := grpc.NewServer()
		go func() { _ = server.Serve(listener) }()
		return server.Stop
	}
	await("WARN cannot connect to etcd at [etcd]")
	stop := serve()
	await("INFO connected to etcd at [etcd]")
	stop()
	await("WARN lost the connection to etcd at [etcd]")
	stop = serve()
	await("INFO connected to etcd at [etcd] again")
	stop()
	assert.Len(t, lines, 4)
	assert.Contains(t, first, "connection refused", "the reason is in it")
}
