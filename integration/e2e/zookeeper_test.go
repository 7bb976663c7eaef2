// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// zookeeperJar is where Debian's package zookeeper has the server; its manifest names
// all else.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// startZooKeeper runs a server of a ZooKeeper until the test ends, or stop is called. A
// test is skipped where there is none.
func startZooKeeper(t *testing.T) (address string, stop func()) {
	t.Helper()
	java, err := exec.LookPath("java")
	if err == nil {
		_, err = os.Stat(zookeeperJar)
	}
	if err != nil && os.Getenv("ZOOKEEPER") == "required" {
		require.NoError(t, err, "ZOOKEEPER=required")
	}
	if err != nil {
		t.Skipf("SKIPPED: there is no java, or Debian's package zookeeper is not installed: %v", err)
	}
	dir := t.TempDir()
	address = etcdtest.Reserve(t).Endpoint()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	config := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=%s\ntickTime=2000\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=mntr\n",
		filepath.Join(dir, "data"), port, host)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte(config), 0o600))
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(java, "-cp", dir+":"+zookeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(dir, "zoo.cfg"))
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	eventually(t, func() string {
		said, _ := os.ReadFile(log.Name())
		return fmt.Sprintf("ZooKeeper does not serve at %s:\n%s", address, said)
	}, func() bool { return strings.Contains(askZooKeeper(address, "mntr"), "zk_server_state") })
	return address, stop
}

// askZooKeeper returns what a server says to one of its commands of four letters. It
// accepts connections before it serves.
func askZooKeeper(address, command string) string {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
