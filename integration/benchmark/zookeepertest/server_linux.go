// SPDX-License-Identifier: Apache-2.0

package zookeepertest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/suite"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// archive is where the package has the server; its manifest names all else.
const archive = "/usr/share/java/zookeeper.jar"

const startTimeout = 30 * time.Second

// server is one ZooKeeper server.
type server struct {
	t    testing.TB
	addr string // host:port; it listens at the port on every address
	dir  string // holds the data, the configuration and the log
	cmd  *exec.Cmd
	client
}

// Start runs a server, and returns when it serves. It is killed when the
// benchmark ends.
func Start(t testing.TB, fsync bool) suite.Store {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("SKIPPED: there is no java, so no ZooKeeper")
	}
	if _, err := os.Stat(archive); err != nil {
		t.Skipf("SKIPPED: Debian's package zookeeper is not installed: %v", err)
	}
	s := &server{t: t, addr: etcdtest.Reserve(t).Endpoint(), dir: t.TempDir(), client: client{own: map[string]bool{}}}
	_, port, _ := net.SplitHostPort(s.addr)
	force := "no"
	if fsync {
		force = "yes"
	}
	config := fmt.Sprintf(`dataDir=%s
clientPort=%s
tickTime=2000
maxClientCnxns=0
maxSessionTimeout=60000
admin.enableServer=false
4lw.commands.whitelist=mntr
forceSync=%s
`, filepath.Join(s.dir, "data"), port, force)
	s.write("zoo.cfg", config)
	s.write("log4j.properties", "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\nlog4j.appender.out.layout=org.apache.log4j.SimpleLayout\n")
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) Address() string { return s.addr }

// Restart starts the process, which must not run, and waits until it serves.
func (s *server) Restart() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command("java", "-cp", s.dir+":"+archive, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(s.dir, "zoo.cfg"))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a process that dies
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start ZooKeeper: %v", err)
	}
	if _, ok := testkit.Within(startTimeout, s.serves); !ok {
		lines, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("ZooKeeper does not serve after %v:\n%s", startTimeout, lines)
	}
	s.connect(s.t, s.addr)
}

// serves says whether the server has read its data: it answers commands before
// that.
func (s *server) serves() bool {
	answer, err := s.ask("mntr")
	return err == nil && strings.Contains(answer, "zk_server_state")
}

// Kill ends the process as a crash does.
func (s *server) Kill() {
	s.close() // its own client's session has to outlive nothing
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// ask sends one of ZooKeeper's commands of four letters.
func (s *server) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// Requests counts packets; heartbeats are among them.
func (s *server) Requests(t testing.TB) int {
	t.Helper()
	answer, err := s.ask("mntr")
	if err != nil {
		t.Fatalf("ask ZooKeeper what it has received: %v", err)
	}
	for line := range strings.Lines(answer) {
		if number, ok := strings.CutPrefix(line, "zk_packets_received\t"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("ZooKeeper does not say what it has received: %s", answer)
	return 0
}
