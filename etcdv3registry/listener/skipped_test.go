// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// counters are the metrics of this process, of which nothing else is looked at.
type counters struct {
	metrics.MetricRegistry
	mu sync.Mutex
	by map[string]float64
}

const skippedKeys = "dubbo_registry_etcd_skipped_keys_total"

var counted = &counters{by: map[string]float64{}}

func init() {
	metrics.SetRegistry("counted", func(*common.URL) metrics.MetricRegistry { return counted })
	metrics.Init(common.NewURLWithOptions(common.WithProtocol("counted")))
}

func (c *counters) Counter(id *metrics.MetricId) metrics.CounterMetric { return counter{c, id.Name} }
func (c *counters) Export()                                            {}

// take returns what was counted since the last time.
func (c *counters) take(name string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.by[name]
	c.by[name] = 0
	return n
}

type counter struct {
	of   *counters
	name string
}

func (c counter) Inc() { c.Add(1) }

func (c counter) Add(n float64) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.by[c.name] += n
}

func TestKeysThatCannotBeUsedAreALineAMinuteHoweverMany(t *testing.T) {
	withHub(t, func(t *testing.T, e *etcdfake.Etcd, h *Hub) {
		log := logtest.Record(t)
		counted.take(skippedKeys) // of other tests
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
		assert.EqualValues(t, 301, counted.take(skippedKeys))
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
		assert.EqualValues(t, 100, counted.take(skippedKeys))
		r.Close()
		other.Close()
		time.Sleep(time.Hour)
		lines = log.Take()
		require.Len(t, lines, 2)
		assert.Contains(t, lines[1], "skipped 99 more")
		assert.Less(t, len(lines[0])+len(lines[1]), 1000)
	})
}
