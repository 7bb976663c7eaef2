// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// report is what a cluster tells dubbo-go's metrics.
type report struct {
	begin sync.Once
	set   *measure.Set
}

// process is what a process tells, whichever of its clusters does.
var process = measure.NewSet()

func init() {
	measure.Switched(func() {
		table.mu.Lock()
		defer table.mu.Unlock()
		for c := range table.used {
			c.reportLocked()
		}
	})
}

// reportLocked begins to report, if the metrics are switched on. table.mu is held:
// who is among the users has not begun to wait for those who run.
func (c *Cluster) reportLocked() {
	if measure.On() {
		c.report.begin.Do(func() { c.running.Go(c.reports) })
	}
}

// labels tell a cluster from others in this process.
func (c *Cluster) labels() *measure.Set {
	return measure.NewSet("cluster", strings.Join(slices.Sorted(slices.Values(c.cfg.Endpoints)), ","), "user", c.cfg.Username)
}

// lag is told by the mirrors.
func (c *Cluster) lag(d time.Duration) { c.report.set.Lag(d) }

// reports ends with the cluster.
func (c *Cluster) reports() {
	ticks := time.NewTicker(measure.Interval)
	defer ticks.Stop()
	for {
		c.tell(c.Status())
		select {
		case <-ticks.C:
		case <-c.ctx.Done():
			last := c.Status()
			c.tell(Status{Calls: last.Calls}) // it is not connected any more, nor is anything registered
			return
		}
	}
}

// superseded reports whether there is another use of the same etcd by now.
func (c *Cluster) superseded() bool {
	table.mu.Lock()
	defer table.mu.Unlock()
	now := table.byID[c.cfg.id()]
	return now != nil && now != c
}

func (c *Cluster) tell(s Status) {
	cache := cachefile.Sum()
	process.Count(measure.CacheSaves, cache.Saves)
	process.Count(measure.CacheFailures, cache.Failures)
	process.Count(measure.CacheBytes, cache.Written)
	set := c.report.set
	for _, n := range s.Calls {
		set.Count(measure.Requests, n.Count, "method", n.Method, "code", n.Code.String())
	}
	for reason, n := range s.Resyncs() {
		set.Count(measure.Resyncs, n, "reason", reason)
	}
	if !c.superseded() {
		s.gauges(set)
	}
}

// Resyncs are those of both directions, by reason.
func (s Status) Resyncs() map[string]uint64 {
	all := map[string]uint64{}
	for _, reason := range slices.Concat(desired.Reasons, listener.Reasons) {
		all[reason] = s.Desired.Resyncs[reason] + s.Watches.Relists[reason]
	}
	return all
}

func (s Status) gauges(set *measure.Set) {
	set.Flag(measure.Ready, len(s.Reasons()) == 0)
	set.Flag(measure.Connected, s.Connected)
	set.Gauge(measure.LeaseRemaining, s.Desired.Lease.Remaining.Seconds())
	set.Gauge(measure.LeaseTTL, s.Desired.Lease.TTL.Seconds())
	set.Gauge(measure.KeysWanted, float64(s.Desired.Wanted))
	set.Gauge(measure.KeysInEtcd, float64(s.Desired.InEtcd))
	set.Gauge(measure.KeysRefused, float64(s.Desired.RefusedCount))
	set.Gauge(measure.RetriesPending, float64(s.Desired.Pending))
	var unread, stale, keys int
	var bytes int64
	for _, m := range s.Watches.Mirrors {
		keys, bytes = keys+m.Keys, bytes+m.Bytes
		if !m.Listed {
			unread++
		}
		if !m.StaleSince.IsZero() {
			stale++
		}
	}
	set.Gauge(measure.Mirrors, float64(len(s.Watches.Mirrors)))
	set.Gauge(measure.MirrorsUnread, float64(unread))
	set.Gauge(measure.MirrorsStale, float64(stale))
	set.Gauge(measure.MirrorKeys, float64(keys))
	set.Gauge(measure.MirrorBytes, float64(bytes))
	var busy time.Duration
	for _, r := range s.Watches.Readers {
		if !r.Telling.IsZero() {
			busy = max(busy, time.Since(r.Telling))
		}
	}
	set.Gauge(measure.Listeners, float64(len(s.Watches.Readers)))
	set.Gauge(measure.ListenerBusy, busy.Seconds())
}
