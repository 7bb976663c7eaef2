// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// part is one of the things that an application has in etcd.
type part string

const (
	instanceOf part = "/services/"
	mappingOf  part = "/dubbo/mapping/"
	metadataOf part = "/dubbo/" // and the application; remote only
)

// parts is what an application has in etcd, but in the hands of the test.
type parts struct {
	etcd *etcdtest.Server
	kvs  map[part]map[string]string
}

// elsewhere starts a provider that is registered in another etcd, where it does
// what it likes, and returns what it has there. The test puts that into its own
// etcd, or does not, and nobody mends it.
func elsewhere(t *testing.T, etcd *etcdtest.Server, name string, edit func(spec) spec) (*process, parts) {
	t.Helper()
	home := etcdtest.Start(t)
	s := application(provider(t, home, name, long))
	if edit != nil {
		s = edit(s)
	}
	p := start(t, s)
	awaitInstances(t, home, name, 1)
	found := parts{etcd, map[part]map[string]string{}}
	for kind, prefix := range map[part]string{
		instanceOf: string(instanceOf),
		mappingOf:  string(mappingOf),
		metadataOf: string(metadataOf) + name + "/",
	} {
		response := testkit.List(t, home.Client(), prefix)
		found.kvs[kind] = map[string]string{}
		for _, kv := range response.Kvs {
			found.kvs[kind][string(kv.Key)] = string(kv.Value)
		}
	}
	return p, found
}

// put puts some of it, one key after another.
func (p parts) put(t *testing.T, kinds ...part) {
	t.Helper()
	for _, kind := range kinds {
		require.NotEmpty(t, p.kvs[kind], "%s", kind)
		for key, value := range p.kvs[kind] {
			if kind == mappingOf {
				value = p.mapping(t, key, value)
			}
			testkit.Put(t, p.etcd.Client(), key, value)
		}
	}
}

// mapping adds to the mapping that there is.
func (p parts) mapping(t *testing.T, key, value string) string {
	t.Helper()
	response := testkit.Get(t, p.etcd.Client(), key)
	for _, kv := range response.Kvs {
		value = string(kv.Value) + "," + value
	}
	return value
}
