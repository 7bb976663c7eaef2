// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

const (
	// mostLookedInto is how many instances are looked into: each costs a few reads.
	mostLookedInto = 50
	// mostPuts is how far back in the history of each.
	mostPuts = 10
	// there and back, and what was before: the puts of an instance that changed hands.
	fewestPuts = 3
)

// contested looks for instances that two processes put in turn, each under its lease:
// both believe to have the address. At interface level each has a key of its own, and
// the service is registered twice.
func (d *doctor) contested(ctx context.Context, entries []*world.Entry) {
	looked := 0
	for _, e := range entries {
		if e.Kind != keys.Instance || e.Lease == 0 || e.Puts < fewestPuts {
			continue
		}
		if looked++; looked > mostLookedInto {
			return
		}
		if other := d.rival(ctx, e); other != 0 {
			d.say(Warning, "keys", "stop one of them, or give it another port",
				"two processes register %s of %s: its key goes to and fro between the leases %x and %x", mask.Cut(e.Part), mask.Cut(e.Of), e.Lease, other)
		}
	}
}

// rival is the lease that a key went to and came back from, if it lives; zero: there is
// none, or etcd has forgotten it.
func (d *doctor) rival(ctx context.Context, e *world.Entry) (lease int64) {
	at := e.Changed
	for range min(e.Puts-1, mostPuts) {
		asking, cancel := short(ctx)
		before, err := d.client.Get(asking, e.Name, clientv3.WithRev(at-1))
		cancel()
		if err != nil || len(before.Kvs) == 0 {
			return 0
		}
		at = before.Kvs[0].ModRevision
		switch of := before.Kvs[0].Lease; {
		case lease == 0 && of != e.Lease:
			lease = of
		case lease != 0 && of == e.Lease:
			asking, cancel := short(ctx)
			defer cancel()
			left, err := d.client.TimeToLive(asking, clientv3.LeaseID(lease))
			if err != nil || left.TTL <= 0 {
				return 0
			}
			return lease
		case lease != 0 && of != lease:
			return 0
		}
	}
	return 0
}
