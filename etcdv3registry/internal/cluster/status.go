// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// Status is a snapshot of a cluster in use.
type Status struct {
	Endpoints []string
	User      string // empty: no authentication
	InUse     InUse
	Connected bool
	Since     time.Time // it is, or is not; zero: it never was
	// SilentSince is since when etcd owes the answer to a request; zero: it owes none,
	// or not for longer than an answer may take.
	SilentSince time.Time
	Last        Failure // the last one, however long ago
	Calls       []Calls
	Desired     desired.Status
	Watches     listener.Status
}

// Statuses returns a snapshot of each cluster in use, by endpoints. It costs in
// proportion to the keys and mirrors of this process, and waits for nothing but
// memory.
func Statuses() []Status {
	var all []Status
	for _, c := range inUse() {
		all = append(all, c.Status())
	}
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(slices.Compare(a.Endpoints, b.Endpoints), cmp.Compare(a.User, b.User))
	})
	return all
}

// Status returns a snapshot, as Statuses does.
func (c *Cluster) Status() Status {
	s := Status{Endpoints: c.cfg.Endpoints, User: c.cfg.Username, Desired: c.Desired.Status(), Watches: c.Watches.Status()}
	s.Connected, s.Since = c.link.now()
	s.SilentSince = c.observer.silentSince()
	s.Calls, s.Last, s.InUse = c.observer.traffic.now()
	if since, why := c.observer.traffic.unfollowed(); !since.IsZero() {
		for i, m := range s.Watches.Mirrors {
			if m.StaleSince.IsZero() {
				s.Watches.Mirrors[i].StaleSince, s.Watches.Mirrors[i].Err = since, why
			}
		}
	}
	return s
}

// soon is how long an answer may take before etcd counts as silent.
const soon = time.Second

// silentSince is since when etcd owes an answer that is late; zero: it owes none.
func (o *observer) silentSince() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if since := o.silentSinceLocked(); time.Since(since) > soon {
		return since
	}
	return time.Time{}
}

// Reasons says why the process is not ready, as far as this cluster goes: what is
// wanted is not all registered, or what is followed has not all been read once. None:
// it is ready.
func (s Status) Reasons() (reasons []string) {
	add := func(format string, args ...any) {
		reasons = append(reasons, fmt.Sprintf("etcd at %s: ", strings.Join(s.Endpoints, ","))+fmt.Sprintf(format, args...))
	}
	if s.Desired.Closed {
		add("the lease has been given up, this process is shutting down")
	}
	if n := s.Desired.Unregistered; n > 0 {
		add("%d of %d key(s) are not registered: %s", n, s.Desired.Wanted, s.unregistered())
	}
	unread, first := 0, listener.MirrorStatus{}
	for _, m := range s.Watches.Mirrors {
		if !m.Listed {
			if unread++; first.Err == nil {
				first = m
			}
		}
	}
	if unread > 0 {
		add("%d of %d prefix(es) have not been read yet: %s: %s", unread, len(s.Watches.Mirrors), layout.Show(first.Prefix), s.or(first.Err, "etcd has not answered"))
	}
	return reasons
}

// unregistered says why keys are not in etcd.
func (s Status) unregistered() string {
	for _, r := range s.Desired.Refused {
		if !r.Optional {
			return r.Reason
		}
	}
	if l := s.Desired.Lease; l.Unsure {
		return fmt.Sprintf("lease %x was not renewed for its %v: it is not known whether etcd still has it", l.ID, l.TTL)
	}
	missing := "some"
	if len(s.Desired.Missing) > 0 {
		missing = s.Desired.Missing[0]
	}
	return missing + ": " + s.or(s.Desired.Err, "etcd has not taken it yet")
}

// or returns why something does not work: err, or what etcd failed with last while it
// owes an answer, or what is to be said otherwise.
func (s Status) or(err error, otherwise string) string {
	switch {
	case err != nil:
		return err.Error()
	case s.Last.Err != nil && (!s.SilentSince.IsZero() || !s.Connected):
		return s.Last.Err.Error()
	default:
		return otherwise
	}
}
