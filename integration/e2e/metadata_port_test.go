// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// dubbo-go serves the local metadata first, at all addresses, and takes the port of
// the protocol whose id is "dubbo" for it. A protocol that has an ip listens there
// for itself, and finds the port taken. Whose registry it is makes no difference.
func TestADubboProtocolWithAnIPNeedsAPortForItsMetadata(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	providing := func(name string) spec {
		s := provider(t, etcd, name, long, plain)
		s.Also = []endpoint{{Protocol: hessian, Address: s.Address, Only: true}}
		s.Address = ""
		return s
	}
	for _, builtIn := range []bool{false, true} {
		refused := providing("refused")
		refused.BuiltIn = builtIn
		p := start(t, refused)
		select {
		case <-p.ended:
		case <-time.After(testkit.LongPatience):
			require.Fail(t, "it serves", "built in: %v\n%s", builtIn, p.tail())
		}
		awaitLog(t, p, "address already in use")
	}

	apart := providing("apart")
	_, port, _ := strings.Cut(address(t), ":")
	apart.MetadataPort, _ = strconv.Atoi(port)
	remote := providing("remote")
	remote.RemoteMetadata = true
	serving := []*process{start(t, apart), start(t, remote)}
	c := start(t, consumer(etcd, long, plain))
	awaitCalls(t, c, plain, serving...)
}
