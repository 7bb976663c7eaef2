// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"context"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
)

// settling is how long after a change it is looked what the directory has made of it:
// many changes are one look.
const settling = time.Second

// Attendance has the directory of a reference told again of the providers of whom it was
// told and that it lacks, when they can be reached. Its methods may be called from any
// goroutine. The nil Attendance attends to nothing.
type Attendance struct {
	url       *common.URL // of the reference
	chain     *invokers.Chain
	tellAgain func(ids []string)
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc

	runner *delivery.Runner
	over   chan struct{} // closed when nothing is done any more

	mu      sync.Mutex // guards what follows
	told    map[string]invokers.Endpoint
	looking *time.Timer // nil: no look is planned
	trying  *time.Timer // likewise

	absent invokers.Absent // belongs to the runner
}

// What a runner does for an Attendance.
const (
	look delivery.Due = 1 << iota
	try
)

// routed is the framework's directory, as far as it is looked into.
type routed interface {
	RouterChain() router.Chain
	SetRouterChain(router.Chain)
}

// attend begins to attend to the directory that a listener is. It is for the moment when
// the directory is made: nobody calls by its chain yet, and only an override of the
// configuration center that comes just then would have it used. It returns nil where it
// cannot be told whom the directory has: those of several groups are behind one invoker
// each.
func attend(u *common.URL, l registry.NotifyListener) *Attendance {
	d, ok := l.(routed)
	if group := u.GetParam(constant.GroupKey, ""); !ok || strings.ContainsAny(group, "*,") || d.RouterChain() == nil {
		return nil
	}
	a := &Attendance{
		url: u, told: map[string]invokers.Endpoint{}, absent: invokers.Absent{Service: u.ServiceKey()},
		over: make(chan struct{}),
	}
	a.chain = &invokers.Chain{Chain: d.RouterChain(), Changed: a.changed}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.runner = delivery.NewRunner(func(what delivery.Due) {
		if what == look {
			a.look()
		} else {
			a.try()
		}
	})
	d.SetRouterChain(a.chain)
	return a
}

// Start begins to look. tellAgain is called with the keys of events of which the
// directory is to be told again, and must not wait for it. It is called once.
func (a *Attendance) Start(tellAgain func(ids []string)) {
	if a == nil {
		return
	}
	a.tellAgain = tellAgain
	a.runner.Start(func() { close(a.over) })
}

// Close ends it, after Start.
func (a *Attendance) Close() {
	if a == nil {
		return
	}
	a.cancel()
	a.runner.End()
	a.mu.Lock()
	for _, planned := range []*time.Timer{a.looking, a.trying} {
		if planned != nil {
			planned.Stop()
		}
	}
	a.mu.Unlock()
	<-a.over
}

// tells notes of whom the directory is told.
func (a *Attendance) tells(e *registry.ServiceEvent) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteLocked(e)
}

// tellsAll notes of whom it is told and that there is nobody else.
func (a *Attendance) tellsAll(events []*registry.ServiceEvent) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = make(map[string]invokers.Endpoint, len(events))
	for _, e := range events {
		a.noteLocked(e)
	}
}

// forgets notes of whom the directory is told that he is gone.
func (a *Attendance) forgets(e *registry.ServiceEvent) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.told, e.Key())
}

// noteLocked notes a provider, unless the directory takes no notice of his protocol.
func (a *Attendance) noteLocked(e *registry.ServiceEvent) {
	if wanted := a.url.Protocol; wanted == "" || wanted == e.Service.Protocol {
		a.told[e.Key()] = invokers.EndpointOf(e.Service)
	}
}

// changed plans a look, unless one is planned.
func (a *Attendance) changed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.looking == nil && a.ctx.Err() == nil {
		a.looking = time.AfterFunc(settling, func() { a.runner.Add(look) })
	}
}

// look plans to try those whom the directory lacks.
func (a *Attendance) look() {
	a.mu.Lock()
	a.looking = nil
	a.mu.Unlock()
	missing, all := a.missing()
	another := a.absent.Look(missing, all)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(missing) == 0:
		a.stopLocked()
	case another || a.trying == nil:
		a.tryLaterLocked()
	}
}

func (a *Attendance) stopLocked() {
	if a.trying != nil {
		a.trying.Stop()
		a.trying = nil
	}
}

// tryLaterLocked plans to try, instead of what was planned.
func (a *Attendance) tryLaterLocked() {
	a.stopLocked()
	if a.ctx.Err() == nil {
		a.trying = time.AfterFunc(a.absent.Next(), func() { a.runner.Add(try) })
	}
}

// try has the directory told again of those whom it lacks and that can be reached.
func (a *Attendance) try() {
	missing, all := a.missing()
	if len(missing) == 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.stopLocked()
		return
	}
	if ids := invokers.Reachable(a.ctx, a.absent.Try(missing, all)); len(ids) > 0 && a.ctx.Err() == nil {
		a.absent.Told(ids)
		a.tellAgain(ids)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tryLaterLocked()
}

// missing returns those whom the directory lacks, and how many it was told of.
func (a *Attendance) missing() (missing map[string]invokers.Endpoint, all int) {
	has := a.chain.Endpoints()
	a.mu.Lock()
	defer a.mu.Unlock()
	missing = map[string]invokers.Endpoint{}
	for id, e := range a.told {
		if !has[e] {
			missing[id] = e
		}
	}
	return missing, len(a.told)
}
