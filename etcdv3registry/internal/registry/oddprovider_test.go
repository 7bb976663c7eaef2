// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// The framework gives up in the middle of a list that it panics over.
func TestAProviderThatTheFrameworkPanicsOverKeepsNoRuleFromTheOthers(t *testing.T) {
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		h := &history{t: t, etcd: e, registry: r, providers: map[string]entry[provider]{}}
		to := func(timeouts ...string) []string {
			for i, host := range []string{"10.0.0.1:20000", "10.0.0.3:20000"} {
				timeouts[i] = "tri://" + host + " started=1 weight=1 timeout=" + timeouts[i]
			}
			return timeouts
		}
		for _, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			p := provider{sort: sorts[0], host: host, port: "20000", started: 1, weight: 1, enabled: true}
			if host == "10.0.0.2" {
				p.note = odd
			}
			h.put(p)
		}
		reference := h.refer(sorts[0])
		synctest.Wait()
		assert.Equal(t, to("3s", "3s"), reference.called())
		rule := h.key(layout.Configurators, "override://0.0.0.0/"+urltest.Greeter+"?category=configurators&timeout=7")
		e.Put(rule, "")
		synctest.Wait()
		assert.Equal(t, to("7ms", "7ms"), reference.called())
		e.Delete(rule)
		synctest.Wait()
		assert.Equal(t, to("3s", "3s"), reference.called())
		reference.end()
	})
}
