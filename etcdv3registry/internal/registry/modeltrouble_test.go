// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

func (h *history) trouble() {
	h.strained = true
	switch how := h.next() % 5; how {
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
	case 4:
		h.says("the leases end")
		h.etcd.Expire()
	}
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
