// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// slow is what a request of a registry should take at most, in 99 of 100 cases.
const slow = 100 * time.Millisecond

func (d *doctor) latency(ctx context.Context) bool {
	key := d.Service.Root() + "/"
	for _, kind := range []struct {
		name string
		once func(context.Context) error
	}{
		{"read", func(ctx context.Context) error {
			_, err := d.client.Get(ctx, key, clientv3.WithKeysOnly())
			return err
		}},
		{"write", func(ctx context.Context) error { return d.pretend(ctx, key) }},
	} {
		took := make([]time.Duration, 0, d.Samples)
		for range d.Samples {
			asking, cancel := short(ctx)
			begin := time.Now()
			err := kind.once(asking)
			cancel()
			if err != nil && !isDenied(err) && !is(err, rpctypes.ErrNoSpace) { // refused is answered
				d.say(Failed, "latency", after(err), "a %s fails: %s", kind.name, said(err))
				return false
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		p50, p99 := percentile(took, 50), percentile(took, 99)
		d.slowest = max(d.slowest, p99)
		if p99 > slow {
			d.say(Warning, "latency", "look at the disks of etcd (fsync under 10 ms), at its load, and at the way to it",
				"a %s takes %v, and 1 of 100 more than %v", kind.name, rounded(p50), rounded(p99))
			continue
		}
		d.say(OK, "latency", "", "a %s takes %v, and 99 of 100 no more than %v", kind.name, rounded(p50), rounded(p99))
	}
	return true
}

const (
	// shortest is the timeout that a pause of etcd, or of the network, is no reason for.
	shortest = time.Second
	// manyTimes is how often what a request takes should go into its timeout.
	manyTimes = 4
)

// timeout compares the one in force with what requests take.
func (d *doctor) timeout(context.Context) bool {
	inForce := cmp.Or(d.Service.Requests, target.DefaultTimeout)
	switch {
	case inForce < shortest:
		d.say(Warning, "timeout", "leave it out (5s), or write it with its unit", "timeout=%v is short: a pause of etcd takes longer, and requests fail then (a number without a unit is milliseconds)", inForce)
	case inForce < manyTimes*d.slowest:
		d.say(Warning, "timeout", "set timeout to a few times that", "timeout=%v is short for an etcd of which 1 of 100 requests takes more than %v", inForce, rounded(d.slowest))
	default:
		d.say(OK, "timeout", "", "timeout=%v", inForce)
	}
	return true
}

// percentile takes one of durations that are sorted: the nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// pretend asks for a write as etcd has to look at one, its rights and its log
// included. Nothing is written: the version of a key is never negative.
func (d *doctor) pretend(ctx context.Context, key string) error {
	_, err := d.client.Txn(ctx).If(clientv3.Compare(clientv3.Version(key), "<", 0)).Then(clientv3.OpPut(key, "")).Commit()
	return err
}

// almostFull is how much of its quota an etcd may use.
const almostFull = 0.8

func (d *doctor) space(ctx context.Context) bool {
	asking, cancel := short(ctx)
	defer cancel()
	alarms, err := d.client.AlarmList(asking)
	if err != nil {
		d.say(Skipped, "space", "", "the alarms are not known: %s", said(err))
	} else {
		d.alarms(alarms.Alarms)
	}
	for _, endpoint := range d.endpoints {
		s := d.statuses[endpoint]
		switch {
		case s == nil:
		case s.DbSizeQuota == 0: // before 3.6 it is not told
			d.say(OK, "space", "", "%s uses %s", endpoint, bytes(s.DbSize))
		case float64(s.DbSize) > almostFull*float64(s.DbSizeQuota):
			d.say(Warning, "space", "compact (etcdctl compact REVISION) and etcdctl defrag, or raise --quota-backend-bytes",
				"%s uses %s of its %s: at the end of them nobody can register", endpoint, bytes(s.DbSize), bytes(s.DbSizeQuota))
		default:
			d.say(OK, "space", "", "%s uses %s of its %s", endpoint, bytes(s.DbSize), bytes(s.DbSizeQuota))
		}
	}
	return true
}

func (d *doctor) alarms(alarms []*etcdserverpb.AlarmMember) {
	told := map[etcdserverpb.AlarmType]bool{}
	for _, alarm := range alarms {
		if told[alarm.Alarm] {
			continue
		}
		told[alarm.Alarm] = true
		switch alarm.Alarm {
		case etcdserverpb.AlarmType_NOSPACE:
			d.say(Failed, "space", "etcdctl compact REVISION, etcdctl defrag --cluster, etcdctl alarm disarm", "etcd has no space left and takes no writes: nobody can register")
		case etcdserverpb.AlarmType_CORRUPT:
			d.say(Failed, "space", "remove the member that differs, wipe its data and add it again", "the members of etcd do not have the same data")
		default:
			d.say(Failed, "space", "etcdctl alarm list", "etcd has the alarm %s", alarm.Alarm)
		}
	}
}

// history finds out from which revision on etcd knows what was.
func (d *doctor) history(ctx context.Context) bool {
	newest, oldest, err := d.revisions(ctx)
	switch kept := newest - oldest; {
	case err != nil:
		d.say(Skipped, "history", "", "it is not known from when on etcd has it: %s", said(err))
	case kept > d.History:
		d.say(Warning, "history", "start etcd with --auto-compaction-mode=periodic --auto-compaction-retention=1h",
			"etcd keeps %d old revisions, and grows with each: it does not seem to compact them by itself", kept)
	default:
		d.say(OK, "history", "", "etcd keeps %d old revisions, the newest is %d", kept, newest)
	}
	return true
}

// revisions are the newest and the oldest that can be read. There is no request that
// says the oldest, so it is searched for.
func (d *doctor) revisions(ctx context.Context) (newest, oldest int64, err error) {
	at := func(revision int64) (*clientv3.GetResponse, error) {
		asking, cancel := short(ctx)
		defer cancel()
		return d.client.Get(asking, d.Service.Root()+"/", clientv3.WithKeysOnly(), clientv3.WithRev(revision))
	}
	response, err := at(0)
	if err != nil {
		return 0, 0, err
	}
	newest = response.Header.Revision
	low, high := int64(1), newest // high can be read
	for low < high {
		middle := low + (high-low)/2
		switch _, err := at(middle); {
		case err == nil:
			high = middle
		case is(err, rpctypes.ErrCompacted):
			low = middle + 1
		default:
			return 0, 0, err
		}
	}
	return newest, high, nil
}

// session compares the TTL with the shortest that etcd grants, which is one and a half
// election timeouts.
func (d *doctor) session(ctx context.Context) bool {
	asking, cancel := short(ctx)
	defer cancel()
	granted, err := d.client.Grant(asking, 1)
	if err != nil {
		d.say(Failed, "session", "see what etcd says", "etcd grants no lease: %s", said(err))
		return true
	}
	_, _ = d.client.Revoke(asking, granted.ID) // it ends by itself in a moment
	const falseAlarms = 5 * time.Second
	ttl, least := d.Service.Session, time.Duration(granted.TTL)*time.Second
	if ttl == 0 {
		ttl = target.DefaultSession
	}
	switch {
	case ttl < least:
		d.say(Warning, "session", "set session to three times that, at least", "session=%v is less than what etcd grants: it makes %v of it", ttl, least)
	case ttl < 2*least:
		d.say(Warning, "session", "set session to three times that, at least", "session=%v is short: an election of a new leader may take as long (etcd grants no less than %v)", ttl, least)
	case ttl < falseAlarms:
		d.say(Warning, "session", "10s to 30s suit most", "session=%v is short: a pause of the machine takes as long, and the service is not called for a moment", ttl)
	default:
		d.say(OK, "session", "", "session=%v, etcd grants %v and more", ttl, least)
	}
	return true
}
