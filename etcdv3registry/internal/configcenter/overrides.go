// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"maps"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
)

// collect is how long after a listener was told of overrides others are waited
// for: each reference and each provider of a process listens to the same ones.
const collect = 100 * time.Millisecond

// overrides tells when listeners have been told of other overrides
// (configurators) than before, once for all of them.
type overrides struct {
	tell func(before []string) // with the names of the parameters that those before set

	mu     sync.Mutex // guards what follows
	before map[string]bool
	timer  *time.Timer
	closed bool
}

// changed notes that a listener was told, and the names of the parameters that
// were set before; a moment later tell is called with all of them.
func (o *overrides) changed(before map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if o.before == nil {
		o.before = map[string]bool{}
	}
	maps.Copy(o.before, before)
	if o.timer != nil {
		o.timer.Reset(collect)
		return
	}
	o.timer = time.AfterFunc(collect, func() {
		if names, ok := o.take(); ok {
			o.tell(names)
		}
	})
}

func (o *overrides) take() (before []string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before = slices.Sorted(maps.Keys(o.before))
	o.before, o.timer = nil, nil
	return before, !o.closed
}

func (o *overrides) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.timer != nil {
		o.timer.Stop()
	}
}

// namesIn returns the names of the parameters that an override sets; none if it
// cannot be read, as the framework has logged then.
func namesIn(p parser.ConfigurationParser, rule string) map[string]bool {
	names := map[string]bool{}
	if rule == "" {
		return names
	}
	urls, err := p.ParseToUrls(rule)
	if err != nil {
		return names
	}
	for _, u := range urls {
		u.RangeParams(func(name, _ string) bool {
			names[name] = true
			return true
		})
	}
	return names
}
