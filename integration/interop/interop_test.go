// SPDX-License-Identifier: Apache-2.0

//go:build interop

// Package interop_test tests this registry beside that of Dubbo for Java, on one
// etcd. It needs a JDK (17 or later) and Maven: make interop.
package interop_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const providers = "/dubbo/org.a.Greeter/providers/"

// peer is a process of Dubbo for Java.
type peer struct {
	t        *testing.T
	commands io.Writer
	mu       sync.Mutex
	done     []string // commands
	notified string   // the addresses in the last notification
	listed   string   // the instances in the last list
}

func startPeer(t *testing.T, etcd string) *peer {
	t.Helper()
	classpath := filepath.Join(t.TempDir(), "classpath")
	build := exec.Command("mvn", "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile="+classpath)
	build.Dir = "java"
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	jars, err := os.ReadFile(classpath)
	require.NoError(t, err)

	java := exec.Command("java", "-cp", "java/target/classes"+string(os.PathListSeparator)+strings.TrimSpace(string(jars)), "Peer", etcd)
	p := &peer{t: t}
	p.commands, err = java.StdinPipe()
	require.NoError(t, err)
	out, err := java.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, java.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.read(out)
	}()
	t.Cleanup(func() {
		_ = java.Process.Kill()
		<-ended
		_ = java.Wait()
	})
	return p
}

func (p *peer) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		p.mu.Lock()
		switch word {
		case "DONE":
			p.done = append(p.done, rest)
		case "NOTIFIED":
			p.notified = rest
		case "INSTANCES":
			p.listed = rest
		}
		p.mu.Unlock()
	}
}

// do sends a command and waits until it is done.
func (p *peer) do(command string, u string) {
	p.t.Helper()
	p.mu.Lock()
	n := len(p.done)
	p.mu.Unlock()
	_, err := fmt.Fprintln(p.commands, command, u)
	require.NoError(p.t, err)
	testkit.Await(p.t, testkit.Patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.done) > n && p.done[n] == command
	}, "%s %s", command, u)
}

func (p *peer) requireProviders(want string) {
	p.t.Helper()
	testkit.Await(p.t, testkit.Patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.notified == want
	}, "Java is to know %q", want)
}

func providerKeys(t *testing.T, etcd *etcdtest.Server) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(testkit.Values(t, etcd.Client(), providers)))
}

func TestJavaAndGoFindEachOtherAndWriteTheSameKeys(t *testing.T) {
	etcd := etcdtest.Start(t)
	java := startPeer(t, etcd.Endpoint())
	java.do("subscribe", "consumer://127.0.0.1/org.a.Greeter?application=peer&interface=org.a.Greeter&category=providers,configurators,routers&side=consumer")

	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	l := &testkit.Listener{}
	testkit.Subscribe(t, r, testkit.Consumer("org.a.Greeter"), l)

	// Every character that Java's URLEncoder and Go's QueryEscape differ in.
	const strange = "a b*c+d~e/é"
	ofJava := "tri://127.0.0.1:20001/org.a.Greeter?anyhost=true&interface=org.a.Greeter&methods=Greet,Part&registry.role=3&side=provider&strange=" + strange + "&timestamp=1700000000"
	java.do("register", ofJava)
	l.RequireAddresses(t, "127.0.0.1:20001")
	for _, u := range l.URLs() {
		assert.Equal(t, strange, u.GetParam("strange", ""))
	}
	written := providerKeys(t, etcd)
	require.Len(t, written, 1)

	ofGo := func(port string) *common.URL {
		u := testkit.Provider("org.a.Greeter", "127.0.0.1:"+port, "strange", strange)
		u.Methods = append(u.Methods, "Part")
		return u
	}
	require.NoError(t, r.Register(ofGo("20001")))
	assert.Equal(t, written, providerKeys(t, etcd), "the same URL is the same key")
	require.NoError(t, r.Register(ofGo("20002")))
	java.requireProviders("127.0.0.1:20001 127.0.0.1:20002")
	l.RequireAddresses(t, "127.0.0.1:20001", "127.0.0.1:20002")

	require.NoError(t, r.UnRegister(ofGo("20002")))
	java.requireProviders("127.0.0.1:20001")
	java.do("unregister", ofJava)
	java.requireProviders("")
	l.RequireAddresses(t)
}

func TestJavaAndGoReadEachOthersInstances(t *testing.T) {
	etcd := etcdtest.Start(t)
	java := startPeer(t, etcd.Endpoint())
	java.do("publish", "tri://127.0.0.1:20001/greeter")

	d := testkit.NewDiscovery(t, etcd.Endpoint(), "file-cache", "false")
	found := d.GetInstances("greeter")
	require.Len(t, found, 1)
	assert.Equal(t, "127.0.0.1:20001", found[0].GetAddress())
	assert.Equal(t, "greeter", found[0].GetServiceName())
	assert.Equal(t, "java", found[0].GetMetadata()["by"])
	assert.False(t, found[0].IsEnable())
	assert.True(t, found[0].IsHealthy())

	require.NoError(t, d.Register(&registry.DefaultServiceInstance{ServiceName: "greeter", Host: "127.0.0.1", Port: 20002,
		Enable: true, Metadata: map[string]string{"by": "go"}}))
	java.do("instances", "greeter")
	java.mu.Lock()
	defer java.mu.Unlock()
	assert.Equal(t, "greeter@127.0.0.1:20001/enabled=false/healthy=true/{by=java} greeter@127.0.0.1:20002/enabled=true/healthy=false/{by=go}", java.listed)
}
