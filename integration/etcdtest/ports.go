// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// Ports are taken from below the range that Linux (32768 and up) and macOS
// (49152 and up) hand out to outgoing connections. A port from within it could
// go to some client while its server is down, even to the very client that
// tries to reach the server, which then finds itself connected to itself.
const (
	firstPort = 20000
	lastPort  = 31999
)

// lockDir returns the directory of the files that mark ports as reserved.
var lockDir = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("etcdtest-ports-%d", os.Getuid()))
	return dir, os.MkdirAll(dir, 0o700)
})

// reserveAddr returns a loopback address with a port on which nothing listens,
// and which no other test, in this process or another, is given until t ends.
func reserveAddr(t testing.TB) string {
	t.Helper()
	dir, err := lockDir()
	if err != nil {
		t.Fatalf("reserve a port: %v", err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		// A process that dies leaves no lock behind, only the file.
		lock := flock.New(filepath.Join(dir, strconv.Itoa(port)), flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		switch {
		case err != nil:
			t.Fatalf("reserve a port: %v", err)
		case !locked:
			continue
		case !free(addr):
			_ = lock.Close()
			continue
		}
		t.Cleanup(func() { _ = lock.Close() })
		return addr
	}
	t.Fatal("reserve a port: none is free")
	return ""
}

// Loopback returns the i-th of many addresses by which this machine reaches
// what listens at the port of a host:port on every address: clients that are to
// take it for as many servers are given one each. Linux has all of 127.0.0.0/8,
// other systems have to be told.
func Loopback(hostPort string, i int) string {
	_, port, _ := net.SplitHostPort(hostPort)
	return fmt.Sprintf("127.%d.%d.%d:%s", 1+i>>16&0x7f, i>>8&0xff, i&0xff, port)
}

// everywhere is the port of a host:port on every address.
func everywhere(hostPort string) string {
	_, port, _ := net.SplitHostPort(hostPort)
	return net.JoinHostPort("0.0.0.0", port)
}

func free(addr string) bool {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
