// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

func TestKeysThatCannotBeUsedAreALineAMinuteHoweverMany(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		log := logtest.Record(t)
		r, other := open(h, "/a/"), open(h, "/a/")
		bad := errors.New("there is no protocol:// in it")
		for i := range 300 {
			e.Put(fmt.Sprintf("/a/%d\nFORGED", i), "")
		}
		e.Put("/a/x", "")
		r.now()
		r.Skip("/a/x", bad)
		for i := range 300 {
			r.Skip(fmt.Sprintf("/a/%d\nFORGED", i), bad)
			other.Skip(fmt.Sprintf("/a/%d\nFORGED", i), bad)
		}
		r.Skip("/a/nothing", bad)
		assert.Equal(t, []string{"WARN [etcdv3] skipping key /a/x: there is no protocol:// in it"}, log.Take())
		time.Sleep(time.Hour)
		lines := log.Take()
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "skipped 300 more under /a/ since the last such line, the last was key \"/a/299\\nFORGED\": there is no")

		for range 100 {
			e.Delete("/a/x")
			e.Put("/a/x", "")
			r.now()
			r.Skip("/a/x", errors.New(strings.Repeat("x", 1<<20)))
		}
		r.Close()
		other.Close()
		time.Sleep(time.Hour)
		lines = log.Take()
		require.Len(t, lines, 2)
		assert.Contains(t, lines[1], "skipped 99 more")
		assert.Less(t, len(lines[0])+len(lines[1]), 1000)
	})
}
