// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	mapping "dubbo.apache.org/dubbo-go/v3/metadata/mapping/metadata"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"dubbo.apache.org/dubbo-go/v3/registry"
	gxset "github.com/dubbogo/gost/container/set"
	"github.com/dubbogo/gost/gof/observer"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// names are the applications that serve an interface: those that a reference
// names itself (provided-by), or else all that any metadata report of the process
// knows. The framework listens to one report only.
type names struct {
	service string
	reports func() []report.MetadataReport
	changed func()

	mu        sync.Mutex // guards what follows
	closed    bool
	fixed     []string
	listeners []*mappingListener
}

// look asks all reports, and has changed called with each change from then on
// until close. An error is one of all reports; those that have failed may be
// heard of later all the same.
func (n *names) look(providedBy string) error {
	if fixed := strings.FieldsFunc(providedBy, func(r rune) bool { return r == ',' || r == ' ' }); len(fixed) > 0 {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.fixed = fixed
		return nil
	}
	reports := n.reports()
	if len(reports) == 0 {
		return errors.New("there is no metadata report to look up in which applications serve it: configure one, or use the registry as one (use-as-meta-report), or name them (provided-by)")
	}
	n.mu.Lock()
	for _, r := range reports {
		if n.closed {
			break
		}
		n.listeners = append(n.listeners, &mappingListener{names: n, report: r})
	}
	listeners := slices.Clone(n.listeners)
	n.mu.Unlock()
	errs := make([]error, len(listeners))
	var asking sync.WaitGroup
	for i, l := range listeners {
		asking.Go(func() { errs[i] = l.look() })
	}
	asking.Wait()
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// current returns the names, each once.
func (n *names) current() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := slices.Clone(n.fixed)
	for _, l := range n.listeners {
		all = append(all, l.known...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// close ends the listening. changed may be called once more, by somebody who is
// about to.
func (n *names) close() {
	n.mu.Lock()
	listeners := n.listeners
	n.listeners, n.closed = nil, true
	n.mu.Unlock()
	for _, l := range listeners {
		l.Stop()
		l.leave()
	}
}

// protocol is the name of this project's extensions.
const protocol = "etcdv3"

// mappingListener is what one report says. It is a mapping.MappingListener of
// the framework.
type mappingListener struct {
	names   *names
	report  report.MetadataReport
	stopped atomic.Bool

	// What follows is guarded by names.mu.
	heard bool // of a change: what look finds may be older
	known []string
}

func (l *mappingListener) look() error {
	set, err := l.report.GetServiceAppMapping(l.names.service, mapping.DefaultGroup, l)
	if l.Stopped() { // meanwhile
		l.leave()
	}
	if err != nil {
		return err
	}
	l.names.mu.Lock()
	defer l.names.mu.Unlock()
	if !l.heard {
		l.known = namesIn(set)
	}
	return nil
}

// leave has the report forget those who were stopped. A report can only be asked
// to end all listeners of an interface. Ours leaves those that were not stopped;
// what others do to them is worse than a listener that takes no notice any more.
func (l *mappingListener) leave() {
	if u := l.report.URL(); u != nil && u.Protocol == protocol {
		_ = l.report.RemoveServiceAppMappingListener(l.names.service, mapping.DefaultGroup)
	}
}

// OnEvent takes in another mapping.
func (l *mappingListener) OnEvent(e observer.Event) error {
	event, ok := e.(*registry.ServiceMappingChangeEvent)
	if !ok {
		return fmt.Errorf("a mapping listener was told of a %T", e)
	}
	if l.Stopped() {
		return nil
	}
	l.names.mu.Lock()
	l.heard, l.known = true, namesIn(event.GetServiceNames())
	l.names.mu.Unlock()
	l.names.changed()
	return nil
}

// Stop ends what OnEvent does.
func (l *mappingListener) Stop() { l.stopped.Store(true) }

// Stopped reports whether Stop was called.
func (l *mappingListener) Stopped() bool { return l.stopped.Load() }

func namesIn(set *gxset.HashSet) []string {
	if set == nil {
		return nil
	}
	var all []string
	for _, v := range set.Values() {
		if name, ok := v.(string); ok {
			all = append(all, name)
		}
	}
	if len(all) > sane.MaxNames {
		slices.Sort(all) // a set has no order: of too many, it is always the same that are left out
	}
	all, _ = sane.Names(all)
	return all
}
