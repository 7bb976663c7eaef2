// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"testing/synctest"

	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// reference is the framework's, as far as a registry sees it.
type reference struct {
	directory.Directory
	told
}

func TestReferenceThatMatchesNoProviderIsTold(t *testing.T) {
	log := logtest.Record(t)
	with(t, nil, func(t *testing.T, _ *etcdfake.Etcd, r *Registry) {
		const none = "there are providers of " + urltest.Greeter + ", but none that this reference asks for"
		lines := func() []string {
			synctest.Wait()
			return log.Lines(none)
		}
		u, l := urltest.Consumer("version", "2.0.0"), &reference{}
		require.NoError(t, r.LoadSubscribeInstances(u, l))
		require.NoError(t, r.Subscribe(u, l))
		assert.Empty(t, lines(), "there are no providers")

		require.NoError(t, r.Register(at("10.0.0.1", "version", "1.0.0")))
		found := lines()
		require.Len(t, found, 1)
		assert.Contains(t, found[0], "it asks for tri of group (none) and version 2.0.0, they are tri of group (none) and version 1.0.0")
		require.NoError(t, r.Register(at("10.0.0.2", "version", "1.0.0")))
		assert.Empty(t, lines(), "that is known")

		require.NoError(t, r.Register(at("10.0.0.3", "version", "2.0.0")))
		assert.Empty(t, lines(), "there is one")
		require.NoError(t, r.Register(at("10.0.0.4", "version", "1.0.0", "group", "blue")))
		assert.Empty(t, lines(), "beside one that matches")
		require.NoError(t, r.UnRegister(at("10.0.0.3", "version", "2.0.0")))
		assert.Empty(t, lines(), "nobody has come")
		require.NoError(t, r.Register(at("10.0.0.5", "version", "1.0.0", "group", "blue")))
		assert.Len(t, lines(), 1, "there was one meanwhile")

		other := &told{}
		require.NoError(t, r.LoadSubscribeInstances(urltest.Consumer("version", "3.0.0"), other))
		assert.Empty(t, lines(), "it is no reference")
	})
}
