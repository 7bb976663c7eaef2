// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"fmt"
	"testing"
	"time"

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

// The first list is made of what is read on the way, the later ones are read anew:
// they say the same.
func TestTheFirstListIsAsTheNext(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		e.Put(keyOf("2"), "")
		e.Put(keyOf("3?weight=5"), "")
		e.Put(keyOf("3"), "")
		e.Put(keyOf("1"), "")
		e.Put(keyOf("2?weight=7"), "") // the one created last counts
		e.Put(keyOf("3?weight=5"), "")
		s, l := subscribe(h, viewOf())
		s.Start(time.Second)
		want := map[string]string{"10.0.0.1:20000": "", "10.0.0.2:20000": "7", "10.0.0.3:20000": ""}
		assert.Equal(t, []string{"all 3"}, l.since())
		assert.Equal(t, want, l.known)
		s.Again()
		assert.Equal(t, []string{"all 3"}, l.since())
		assert.Equal(t, want, l.known)

		e.Delete(keyOf("2?weight=7"), keyOf("3?weight=5"))
		assert.Equal(t, []string{"update 2"}, l.since(), "the other key of 3 was not told of")
		assert.Empty(t, l.known["10.0.0.2:20000"])
		e.Delete(keyOf("1"), keyOf("2"), keyOf("3"))
		assert.ElementsMatch(t, []string{"delete 1", "delete 2", "delete 3"}, l.since())
	})
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
		for i := range 300 {
			e.Put(keyOf(fmt.Sprint(i)), "") // again: it was created before
		}
		var got []string
		s := h.Subscribe([]string{"/p/"}, viewOf(), &lists{&got})
		defer s.Close()
		require.NoError(t, s.Load(t.Context()))
		assert.Equal(t, want, got)
		s.notifyAll(s.list()) // which reads them again
		assert.Equal(t, want, got)
	})
}
