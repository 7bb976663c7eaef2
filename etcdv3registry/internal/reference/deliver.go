// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"maps"
	"slices"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
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
	has := s.taken.endpoints()
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

// check looks whether the directory has everybody of whom it was told. Who it
// cannot connect to, or has been told by that he is about to stop, it leaves out
// without a word, and never tries again by itself.
func (s *subscription) check() {
	select {
	case <-s.taken.changed: // this is the look
	default:
	}
	lacks := len(s.known.missing(s.taken.endpoints()))
	if lacks == 0 && s.looks >= worthALine {
		logger.Infof("[etcdv3] all %d provider(s) of %s can be called", s.known.size(), s.url.ServiceKey())
	}
	if lacks == 0 {
		s.lacks, s.looks, s.schedule, s.retry = 0, 0, nil, nil
		return
	}
	if lacks > s.lacks { // somebody else than before
		s.schedule, s.retry = retry.Backoff(200*time.Millisecond, 10*time.Second).BackOff(), nil
	}
	s.lacks = lacks
	if s.retry == nil && !s.probing {
		s.retry = time.After(s.schedule.NextBackOff())
	}
}

// worthALine is after how many looks in a row, the first of them in one or two
// seconds, the log is told: most of those who are about to stop are gone by then.
const worthALine = 5

// probe begins to try whom the directory lacks, and can be reached.
func (s *subscription) probe() {
	has := s.taken.endpoints()
	s.known.renew(has)
	missing := s.known.missing(has)
	if s.looks++; s.looks == worthALine {
		logger.Warnf("[etcdv3] %d of %d provider(s) of %s cannot be called: there is no connection to them, or they are about to stop; tried again in the background",
			len(missing), s.known.size(), s.url.ServiceKey())
	}
	s.probing = true
	s.trying.Go(func() {
		select {
		case s.probed <- reachable(s.ctx, missing):
		case <-s.ctx.Done():
		}
	})
}
