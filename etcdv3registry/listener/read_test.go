// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// lists is a listener that has the hosts of the list that it was told last.
type lists struct{ hosts *[]string }

func (l *lists) Notify(*registry.ServiceEvent) {}

func (l *lists) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	*l.hosts = nil
	for _, e := range events {
		*l.hosts = append(*l.hosts, e.Service.Ip)
	}
}

func TestManyKeysAreToldInTheOrderOfTheirCreation(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		var want []string
		for i := range 300 {
			host := fmt.Sprint((i*7 + 3) % 300)
			e.Put(keyOf(host), "")
			want = append(want, "10.0.0."+host)
		}
		e.Put("/p/%zz", "cannot be read")
		var got []string
		s := h.Subscribe([]string{"/p/"}, viewOf(), &lists{&got})
		defer s.Close()
		require.NoError(t, s.Load(t.Context()))
		assert.Equal(t, want, got)
		s.notifyAll(nil) // which reads them again
		assert.Equal(t, want, got)
	})
}
