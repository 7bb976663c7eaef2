// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// difference says what is not as it should be, or nothing.
func (c *chaos) difference() string {
	keys := testkit.List(c.t, c.etcd.client, root)
	if d := c.keyDifference(keys); d != "" {
		return d
	}
	c.history.sync(c.t)
	if d := c.viewDifference(keys); d != "" {
		return d
	}
	return c.sharingDifference(keys)
}

func (c *chaos) keyDifference(keys *clientv3.GetResponse) string {
	want, got := map[string]bool{}, map[string]bool{}
	for _, p := range c.procs {
		for _, m := range p.members {
			for _, u := range m.registered {
				want[factOf(u).version()] = true
			}
		}
	}
	leases := map[string]int64{}
	for _, kv := range keys.Kvs {
		f, ok := parseKey(string(kv.Key), "providers")
		if !ok {
			if f, ok = parseKey(string(kv.Key), "consumers"); !ok {
				continue
			}
		} else {
			got[f.version()] = true
		}
		switch known, ok := leases[f.process]; {
		case f.dynamic == "false":
			if kv.Lease != 0 {
				return f.version() + " has a lease"
			}
		case kv.Lease == 0:
			return f.version() + " has no lease"
		case ok && known != kv.Lease:
			return fmt.Sprintf("process %s has two leases, %x and %x (%s)", f.process, known, kv.Lease, f.version())
		default:
			leases[f.process] = kv.Lease
		}
	}
	if len(leases) != len(c.procs) {
		return fmt.Sprintf("there are leases of %d processes: %v", len(leases), leases)
	}
	return differ("etcd", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
}

func (c *chaos) viewDifference(keys *clientv3.GetResponse) string {
	want := map[string][]string{}
	type latest struct {
		created int64
		key     string
		fact    fact
	}
	byID := map[string]latest{}
	for _, kv := range keys.Kvs {
		f, ok := parseKey(string(kv.Key), "providers")
		if !ok {
			continue
		}
		want["*"] = append(want["*"], f.version())
		l, ok := byID[f.id()]
		if !ok || kv.CreateRevision > l.created || kv.CreateRevision == l.created && string(kv.Key) > l.key {
			byID[f.id()] = latest{kv.CreateRevision, string(kv.Key), f}
		}
	}
	for l := range maps.Values(byID) {
		want[l.fact.service] = append(want[l.fact.service], l.fact.version())
	}
	for _, s := range want {
		slices.Sort(s)
	}
	for _, p := range c.procs {
		for _, m := range p.members {
			for _, s := range m.subscribed {
				if d := differ(s.recorder.Name, s.recorder.view(), want[s.service]); d != "" {
					return d
				}
			}
		}
	}
	return ""
}

func (c *chaos) sharingDifference(keys *clientv3.GetResponse) string {
	if leases := testkit.Leases(c.t, c.etcd.client); len(leases) != len(c.procs) {
		return fmt.Sprintf("etcd has %d leases, there are %d processes", len(leases), len(c.procs))
	}
	streams, watches := 1, 1 // the history's
	watches += len(keysAndParents(keys))
	for _, p := range c.procs {
		if n := p.proxy.Open(); n != 1 {
			return fmt.Sprintf("process %d has %d connections", p.number, n)
		}
		prefixes := map[string]bool{} // and watches
		for _, m := range p.members {
			for _, s := range m.subscribed {
				for category := range strings.SplitSeq(s.url.GetParam("category", "providers"), ",") {
					prefixes[s.service+" "+category] = true
				}
			}
		}
		watches += len(prefixes)
		streams += 2 // of what it follows and of its keys; the client may keep one that has no watches any more, see touch
	}
	m := c.etcd.Metrics()
	if n := int(m.Value(etcdtest.MetricWatchStreams, nil)); n > streams {
		return fmt.Sprintf("etcd has %d watch streams, want at most %d", n, streams)
	}
	switch n := int(m.Value(etcdtest.MetricWatchers, nil)); {
	case n < watches:
		return fmt.Sprintf("etcd has %d watches, want %d", n, watches)
	case n > watches:
		return moreWatches
	default:
		return ""
	}
}

// keysAndParents returns, for each process, what it hears of being deleted.
func keysAndParents(keys *clientv3.GetResponse) map[string]bool {
	all := map[string]bool{}
	for _, kv := range keys.Kvs {
		if f, ok := parseKey(string(kv.Key), "providers"); ok {
			parent, _, _ := strings.Cut(string(kv.Key), "/providers/")
			all[f.process+" "+string(kv.Key)], all[f.process+" "+parent] = true, true
		}
		if f, ok := parseKey(string(kv.Key), "consumers"); ok {
			all[f.process+" consumers"] = true // of all of them one
		}
	}
	return all
}

const moreWatches = "etcd has more watches than there are prefixes subscribed to"

func differ(who string, got, want []string) string {
	var d []string
	for _, s := range got {
		if !slices.Contains(want, s) {
			d = append(d, "\n  it has, and should not: "+s)
		}
	}
	for _, s := range want {
		if !slices.Contains(got, s) {
			d = append(d, "\n  it lacks: "+s)
		}
	}
	if len(d) == 0 && !slices.Equal(got, want) {
		d = append(d, fmt.Sprintf("\n  has %v, want %v", got, want))
	}
	if len(d) == 0 {
		return ""
	}
	return who + " differs:" + strings.Join(d, "")
}
