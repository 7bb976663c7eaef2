// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/internal/localetcd"
)

const (
	// patience is how long a test waits for what should happen soon.
	patience = 30 * time.Second
	// poll is how often it looks.
	poll = 10 * time.Millisecond
)

// An etcd is this binary started again, with its data and port in these.
const (
	etcdDir  = "CONSOLE_TEST_ETCD_DIR"
	etcdPort = "CONSOLE_TEST_ETCD_PORT"
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	if dir := os.Getenv(etcdDir); dir != "" {
		if err := serveEtcd(dir, os.Getenv(etcdPort)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func serveEtcd(dir, port string) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	go func() { // ends with the test, however that ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	etcd, err := localetcd.Start(dir, n)
	if err != nil {
		return err
	}
	return etcd.Wait()
}

// etcdServer is an etcd in a process of its own, to be killed and started.
type etcdServer struct {
	t      *testing.T
	dir    string
	port   int
	cmd    *exec.Cmd
	client *clientv3.Client
}

// newEtcd finds a port for an etcd. It is not started.
func newEtcd(t *testing.T) *etcdServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	e := &etcdServer{t: t, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	t.Cleanup(e.stop)
	e.client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.address()}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.client.Close() })
	return e
}

func (e *etcdServer) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)) }

// start returns when etcd answers.
func (e *etcdServer) start() {
	e.t.Helper()
	e.cmd = exec.Command(os.Args[0])
	e.cmd.Env = append(os.Environ(), etcdDir+"="+e.dir, etcdPort+"="+strconv.Itoa(e.port))
	e.cmd.Stderr = os.Stderr
	_, err := e.cmd.StdinPipe() // it ends with this process
	require.NoError(e.t, err)
	require.NoError(e.t, e.cmd.Start())
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	_, err = e.client.Get(ctx, "/")
	require.NoError(e.t, err)
}

// stop kills it.
func (e *etcdServer) stop() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

func (e *etcdServer) put(key string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	_, err := e.client.Put(ctx, key, "")
	require.NoError(e.t, err)
}

func (e *etcdServer) delete(key string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	_, err := e.client.Delete(ctx, key)
	require.NoError(e.t, err)
}

func (e *etcdServer) deletePrefix(prefix string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	_, err := e.client.Delete(ctx, prefix, clientv3.WithPrefix())
	require.NoError(e.t, err)
}
