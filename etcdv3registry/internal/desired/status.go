// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// Status is a snapshot of a Reconciler.
type Status struct {
	Lease  Lease
	Wanted int // keys
	// InEtcd is how many of them etcd has confirmed, under a lease of which that is sure
	// that it has it.
	InEtcd int
	// Unregistered is how many of the others are needed: they are not optional.
	Unregistered int
	// Pending is how many keys, wanted or not any more, differ from what is desired,
	// and are tried again.
	Pending int
	Missing []string  // names of wanted keys that are neither in etcd nor refused, the first of them
	Refused []Refused // wanted keys that etcd refuses, the first of them by name
	// RefusedCount is how many those are.
	RefusedCount int
	Err          error // what the last attempt to write failed with; nil: it worked
	// Resyncs is how often keys had to be put again, by the reason, of Reasons.
	Resyncs map[string]uint64
	Closed  bool // the lease has been given up
}

// Lease is the one that all keys share. The zero value: there is none.
type Lease struct {
	ID        clientv3.LeaseID
	TTL       time.Duration
	Remaining time.Duration // since it was renewed last, as far as this process knows; at least 0
	Granted   time.Time
	// Unsure says that it was not renewed in time: etcd may have it, if it was away as
	// well, or not.
	Unsure bool
}

// Refused is a key that etcd refuses.
type Refused struct {
	Name     string
	Reason   string
	Optional bool // it is of use to those who look only
}

// maxNamed is how many keys of one kind a Status names.
const maxNamed = 100

const (
	reasonLeaseLost   = "lease_lost"   // it expired, was revoked, or left to a key that may not be written
	reasonKeysDeleted = "keys_deleted" // by somebody else
	reasonKeysTaken   = "keys_taken"   // by another process, which has the same address
)

// Reasons are all reasons to put keys again.
var Reasons = []string{reasonLeaseLost, reasonKeysDeleted, reasonKeysTaken}

// record is what a Status has of what the writer does. The zero value is ready.
type record struct {
	mu      sync.Mutex // guards what follows
	lease   Lease
	renewed time.Time
	resyncs map[string]uint64
}

func (r *record) granted(id clientv3.LeaseID, seconds int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.lease, r.renewed = Lease{ID: id, TTL: time.Duration(seconds) * time.Second, Granted: now}, now
}

// alive notes that etcd has kept the lease.
func (r *record) alive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewed, r.lease.Unsure = time.Now(), false
}

// doubted notes that the lease was not kept for its TTL.
func (r *record) doubted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lease.Unsure = true
}

// ended notes that there is no lease any more.
func (r *record) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lease = Lease{}
}

func (r *record) resynced(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resyncs == nil {
		r.resyncs = map[string]uint64{}
	}
	r.resyncs[reason]++
}

func (r *record) now() (Lease, map[string]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lease := r.lease
	if lease.ID != clientv3.NoLease {
		lease.Remaining = max(0, time.Until(r.renewed.Add(lease.TTL)))
	}
	return lease, maps.Clone(r.resyncs)
}

// Status returns a snapshot. It costs in proportion to the keys that are wanted, and
// waits for nothing but memory.
func (r *Reconciler) Status() Status {
	var s Status
	s.Lease, s.Resyncs = r.record.now()
	r.mu.Lock()
	s.Err, s.Closed = r.trouble, r.closed
	for _, e := range r.entries {
		switch {
		case r.closed: // nothing is wanted any more
		case e.owners > 0:
			s.addLocked(e)
			fallthrough
		default:
			if !e.inSync() {
				s.Pending++
			}
		}
	}
	r.mu.Unlock()
	slices.SortFunc(s.Refused, func(a, b Refused) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(s.Missing)
	s.RefusedCount = len(s.Refused)
	s.Refused = s.Refused[:min(len(s.Refused), maxNamed)]
	s.Missing = s.Missing[:min(len(s.Missing), maxNamed)]
	return s
}

// addLocked adds a key that is wanted.
func (s *Status) addLocked(e *entry) {
	s.Wanted++
	switch {
	case e.synced && s.Lease.Unsure && e.key.leased(): // it may be there
	case e.synced:
		s.InEtcd++
		return
	case e.refused:
		refused := Refused{Name: layout.Show(e.key.Name), Optional: e.key.Optional}
		if e.why != nil {
			refused.Reason = e.why.Error()
		}
		s.Refused = append(s.Refused, refused)
	default:
		s.Missing = append(s.Missing, layout.Show(e.key.Name))
	}
	if !e.key.Optional {
		s.Unregistered++
	}
}
