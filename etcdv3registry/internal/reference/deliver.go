// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"maps"
	"slices"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// open has a feed of each application, and reports whether what they have said
// is all that can be known for now. An application that is not named any more is
// left when it serves nothing: a name that got lost is no reason not to call.
func (s *subscription) open() (heard bool) {
	named := map[string]bool{}
	for _, name := range s.names.current() {
		named[name] = true
		if s.feeds[name] != nil {
			continue
		}
		feed, err := s.source.Open(name, s.wake)
		if err != nil {
			return false // it is closed
		}
		s.feeds[name] = feed
	}
	heard = true
	has := s.taken.Endpoints()
	for name, feed := range s.feeds {
		heard = feed.Settled() && heard // before what it has is taken
		s.known.take(name, feed, has)
		if !named[name] && !s.known.has(name) {
			feed.Close()
			delete(s.feeds, name)
		}
	}
	return heard
}

// deliver tells the directory what has changed, or everything, and some again.
func (s *subscription) deliver(whole bool, again []string) {
	if len(s.known.dirty) == 0 && len(again) == 0 && !whole {
		return
	}
	release, ok := servicediscovery.Turn(s.ctx, slices.Collect(maps.Keys(s.feeds))...)
	if !ok {
		return
	}
	defer release()
	events := append(s.known.changes(), s.known.these(again)...)
	if len(events) > 0 || whole {
		s.tell(events, whole)
	}
}

func (s *subscription) tell(events []*registry.ServiceEvent, whole bool) {
	if whole || !s.delivered || len(events) > s.alone() {
		s.delivered = true
		all := s.known.all()
		start := time.Now()
		if s.call("a list", func() { s.listener.NotifyAll(all, func() {}) }) {
			measure.ListTold(start)
			return
		}
		events = append(events, s.known.all()...) // one by one it panics over the culprit only
	}
	for _, e := range events {
		s.call(e.Key(), func() { s.listener.Notify(e) })
	}
}

// alone is up to how many changes are told one by one. In a directory of n
// providers a Notify costs in proportion to n, and a NotifyAll to its square: as
// much as 25 of the former where n is small, and as n/150 where it is large.
func (s *subscription) alone() int { return max(25, s.known.size()/150) }

// call calls the directory, unless it was closed: from inside a call, which did not
// wait for what follows.
func (s *subscription) call(what string, f func()) (ok bool) {
	return s.ctx.Err() != nil || delivery.Call(s.url.ServiceKey(), what, f)
}

// check looks whether the directory has everybody of whom it was told.
func (s *subscription) check() {
	select {
	case <-s.changed: // this is the look
	default:
	}
	missing := s.known.missing(s.taken.Endpoints())
	if s.absent.Look(missing, s.known.size()) {
		s.retry = nil
	}
	if len(missing) > 0 && s.retry == nil && !s.probing {
		s.retry = time.After(s.absent.Next())
	}
}

// probe begins to try whom the directory lacks, and can be reached.
func (s *subscription) probe() {
	has := s.taken.Endpoints()
	s.known.renew(has)
	missing := s.absent.Try(s.known.missing(has), s.known.size())
	s.probing = true
	s.trying.Go(func() {
		select {
		case s.probed <- invokers.Reachable(s.ctx, missing):
		case <-s.ctx.Done():
		}
	})
}
