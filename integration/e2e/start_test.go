// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const startingConfig = `
dubbo:
  application:
    name: $NAME
    metadata-type: $METADATA
  registries:
    etcd:
      protocol: etcdv3
      address: $ETCD
  protocols:
    tri:
      name: tri
      ip: $IP
      port: $PORT
  provider:
    services:
`

// manyServices is a provider of n services of which nothing is configured but the
// address of etcd, and where its metadata is.
func manyServices(t *testing.T, etcd *etcdtest.Server, name, metadata string, n int) spec {
	t.Helper()
	config := strings.NewReplacer("$NAME", name, "$METADATA", metadata).Replace(startingConfig)
	var services []service
	for i := range n {
		s := service{Interface: fmt.Sprintf("org.e2e.Greet%02d", i)}
		services = append(services, s)
		config += fmt.Sprintf("      %s:\n        interface: %s\n", s.id(), s.Interface)
	}
	at := address(t)
	return spec{Name: name, Address: at, Services: services, Config: writeConfig(t, config, etcd.Endpoint(), at)}
}

// requireMappings checks that each of n services has these applications.
func requireMappings(t *testing.T, etcd *etcdtest.Server, n int, applications ...string) {
	t.Helper()
	response := testkit.List(t, etcd.Client(), "/dubbo/mapping/org.e2e.Greet")
	require.Len(t, response.Kvs, n)
	for _, kv := range response.Kvs {
		require.ElementsMatch(t, applications, strings.Split(string(kv.Value), ","), "%s", kv.Key)
	}
}

func TestAProviderOfManyServicesAsksEtcdFewTimes(t *testing.T) {
	t.Parallel()
	for metadata, most := range map[string]int{
		"local": 2 + 2, // the mappings, and the instance
		// And the metadata again: the framework refreshes what it has just published.
		"remote": 3 + 2 + 2,
	} {
		t.Run(metadata, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			providing := manyServices(t, etcd, "a", metadata, 20)
			for _, begin := range []string{"new", "restarted"} {
				before := etcd.Metrics()
				a := start(t, providing)
				awaitInstances(t, etcd, "a", 1)
				after := etcd.Metrics()
				for _, method := range []string{"Txn", "Put", "DeleteRange", "LeaseGrant"} {
					t.Logf("%s: %d %s", begin, after.Requests(method)-before.Requests(method), method)
				}
				assert.LessOrEqual(t, after.Requests("Txn")-before.Requests("Txn"), most, begin)
				requireMappings(t, etcd, 20, "a")
				c := start(t, application(consumer(etcd, 0, providing.Services[7])))
				awaitCalls(t, c, providing.Services[7], a)
				c.kill()
				a.kill()
				testkit.DeleteAll(t, etcd.Client(), "/services/")
			}
		})
	}
}

func TestApplicationsOfTheSameServicesThatStartAtOnceAreAllMapped(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		start(t, manyServices(t, etcd, name, "local", 20))
	}
	for _, name := range names {
		awaitInstances(t, etcd, name, 1)
	}
	requireMappings(t, etcd, 20, names...)
}
