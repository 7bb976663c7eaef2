// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	metricsMetadata "dubbo.apache.org/dubbo-go/v3/metrics/metadata"
	metricsRegistry "dubbo.apache.org/dubbo-go/v3/metrics/registry"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// complete is how much longer a reference that has a provider waits for the
// others when it starts.
const complete = 500 * time.Millisecond

// little is how long a reference waits that starts when others have waited in
// vain: what is well takes less.
const little = 100 * time.Millisecond

// subscription tells one directory who serves. It is made by newSubscription,
// begun by start and ended by close.
type subscription struct {
	source   source
	registry *common.URL
	url      *common.URL // of the consumer
	matchKey string      // what it looks for in metadata
	listener registry.NotifyListener
	taken    *invokers.Chain

	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	trying  sync.WaitGroup // who can be reached
	wake    chan struct{}  // something has changed
	again   chan struct{}  // all is to be told again
	changed chan struct{}  // the directory has other invokers

	heard   chan struct{} // closed when all is known that can be for now
	served  chan struct{} // closed when the directory has been told of a provider
	settled chan struct{} // closed when it has been told of all that was heard

	mu      sync.Mutex // guards what follows
	names   *names
	undo    func() // of OnOverrides
	running chan struct{}
	closed  bool

	// What follows belongs to run.
	feeds     map[string]feed // by application
	known     providers
	delivered bool          // a list
	probing   bool          // it is being tried who can be reached
	probed    chan []string // receives their IDs
	due       []string      // those of whom the directory is to be told again
	absent    invokers.Absent
	retry     <-chan time.Time // when those who are absent are tried
}

func newSubscription(from source, registry, u *common.URL, l registry.NotifyListener, taken *invokers.Chain) *subscription {
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscription{
		source: from, registry: registry, url: u, listener: l, taken: taken,
		matchKey: common.MatchKey(u.ServiceKey(), protocolOf(u)),
		ctx:      ctx, cancel: cancel,
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		heard: make(chan struct{}), served: make(chan struct{}), settled: make(chan struct{}),
		feeds: map[string]feed{}, probed: make(chan []string),
		known: newProviders(common.MatchKey(u.ServiceKey(), protocolOf(u))),
	}
	s.absent.Service = u.ServiceKey()
	taken.Changed = func() { delivery.Signal(s.changed) }
	s.names = &names{service: u.Service(), reports: metadata.GetMetadataReports, changed: func() { delivery.Signal(s.wake) }}
	return s
}

// protocolOf is the protocol that a reference calls with.
func protocolOf(u *common.URL) string {
	if u.Protocol == "" {
		return constant.TriProtocol
	}
	return u.Protocol
}

// start begins to tell the directory, and waits for the first time.
func (s *subscription) start() error {
	event := metricsMetadata.NewMetadataMetricTimeEvent(metricsMetadata.SubscribeServiceRt)
	undo, err := s.source.OnOverrides(func() { delivery.Signal(s.again) })
	if err != nil {
		return err
	}
	err = s.names.look(s.url.GetParam(constant.ProvidedBy, ""))
	if err != nil {
		err = fmt.Errorf("etcdv3 reference: which applications serve %s: %w", s.url.ServiceKey(), err)
	}
	s.mu.Lock()
	if s.closed || s.running != nil {
		s.mu.Unlock()
		undo()
		return errors.Join(err, s.ctx.Err())
	}
	s.undo, s.running = undo, make(chan struct{})
	s.mu.Unlock()
	delivery.Signal(s.wake)
	go s.run()
	if err == nil {
		s.wait()
	}
	event.Succ, event.End = err == nil, time.Now()
	event.Attachment[constant.InterfaceKey] = s.url.Interface()
	metrics.Publish(event)
	metrics.Publish(metricsRegistry.NewServerSubscribeEvent(err == nil))
	return err
}

// wait returns when the directory has been told of all that can be known, or that
// takes too long: a provider may stand still.
func (s *subscription) wait() {
	begun := time.Now()
	late := time.NewTimer(max(little, s.source.Patience().Left(s.source.Timeout())))
	defer late.Stop()
	heard, served := s.heard, s.served
	for {
		select {
		case <-s.settled:
			return
		case <-heard: // what the directory makes of it may take as long again
			heard, served = nil, nil
			late.Reset(max(little, s.source.Patience().Left(s.source.Timeout())))
		case <-served:
			served = nil
			late.Reset(min(complete, max(little, s.source.Patience().Left(s.source.Timeout()))))
		case <-late.C:
			s.source.Patience().Spend(time.Since(begun))
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// close ends it: once it has returned the directory is not told anything any
// more, unless it was called from inside a delivery. It may be called more than
// once.
func (s *subscription) close() {
	s.mu.Lock()
	s.closed = true
	running, undo := s.running, s.undo
	s.undo = nil
	s.mu.Unlock()
	s.cancel()
	s.names.close()
	if undo != nil {
		undo()
	}
	if running != nil && !delivery.Inside() {
		<-running
	}
}

// run ends with close.
func (s *subscription) run() {
	defer close(s.running)
	defer s.leave()
	for {
		whole := false
		var again []string // whom the directory has been told of before
		select {
		case <-s.ctx.Done():
			return
		case <-s.changed:
			s.check()
			continue
		case <-s.retry:
			s.retry = nil
			s.probe()
		case ids := <-s.probed:
			s.probing = false
			s.absent.Told(ids)
			s.due = ids
		case <-s.again:
			whole = s.delivered
		case <-s.wake:
		}
		if len(s.due) > 0 { // one, as it may take seconds: others are not to wait for all
			again, s.due = s.due[:1], s.due[1:]
			if len(s.due) > 0 {
				delivery.Signal(s.wake)
			}
		}
		heard := s.open()
		if heard {
			closeOnce(s.heard)
		}
		s.deliver(whole, again)
		s.check()
		s.report(heard)
	}
}

// report notes, and logs, when there is something for those who wait.
func (s *subscription) report(heard bool) {
	if s.known.size() > 0 {
		closeOnce(s.served)
	}
	if !heard || isClosed(s.settled) {
		return
	}
	closeOnce(s.settled)
	switch names := s.names.current(); {
	case s.known.size() > 0:
		logger.Infof("[etcdv3] %s is served by %d provider(s) of %s", s.url.ServiceKey(), s.known.size(), sane.ShowAll(names))
	case len(names) == 0:
		logger.Warnf("[etcdv3] there are no providers of %s yet: no application is known to serve it", s.url.ServiceKey())
	default:
		logger.Warnf("[etcdv3] there are no providers of %s yet: %s has no instance that serves it by %s", s.url.ServiceKey(), sane.ShowAll(names), protocolOf(s.url))
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// closeOnce is for one goroutine at a time.
func closeOnce(c chan struct{}) {
	if !isClosed(c) {
		close(c)
	}
}

func (s *subscription) leave() {
	s.trying.Wait()
	for _, feed := range s.feeds {
		feed.Close()
	}
}

// source is where a subscription has its applications from.
type source interface {
	Open(application string, changed chan struct{}) (feed, error)
	OnOverrides(f func()) (undo func(), err error)
	Timeout() time.Duration
	Patience() *servicediscovery.Patience
}

// feed is what one application serves, as a servicediscovery.Feed.
type feed interface {
	Take() []servicediscovery.Change
	Settled() bool
	IsInstance(address string) bool
	Close()
}

// discovered is the source of a Discovery.
type discovered struct{ *servicediscovery.Discovery }

func (d discovered) Open(application string, changed chan struct{}) (feed, error) {
	return d.Discovery.Open(application, changed)
}
