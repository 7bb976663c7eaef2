// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

func (h *history) trouble() {
	h.strained = true
	switch how := h.next() % 6; how {
	case 0, 1:
		h.says("etcd is away: %v", how == 0)
		h.etcd.Away(how == 0)
	case 2:
		h.says("etcd has forgotten what was before")
		h.etcd.Compact()
	case 3:
		h.says("etcd cannot be read")
		h.etcd.Set(func(e *etcdfake.Etcd) {
			e.Fail = func(method string, _ []string) error {
				if method == "Range" {
					return status.Error(codes.Unavailable, "no leader")
				}
				return nil
			}
		})
	case 5:
		h.says("etcd is empty")
		h.empty()
	case 4:
		h.says("the leases end")
		h.etcd.Expire()
	}
}

// empty has etcd come back without anything.
func (h *history) empty() {
	h.etcd.Away(false)
	synctest.Wait()
	h.etcd.Wipe()
	h.etcd.EndWatches() // which etcd's own client opens again, where it was
	clear(h.providers)
	clear(h.overrides)
	clear(h.others)
	c, err := h.registry.user.Get()
	require.NoError(h.t, err)
	c.Watches.Check() // as after each new stream, of which the fake has none
	time.Sleep(2 * session)
}

// other has keys come that say nothing about whom to call.
func (h *history) other() {
	raw := []string{"condition://0.0.0.0/" + urltest.Greeter + "?category=routers&rule=x", "not%zza", "route://0.0.0.0/x?category=routers"}[h.next()%3]
	category := []string{layout.Routers, layout.Providers, layout.Configurators, layout.Consumers}[h.next()%4]
	key := h.key(category, raw)
	h.says("something else: %s", key)
	if h.others[key] {
		h.remove(key)
		return
	}
	h.etcd.Put(key, "")
	h.others[key] = true
}
