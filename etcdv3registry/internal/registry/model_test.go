// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// FuzzHistory plays a history of what happens in etcd and to the references of a
// process, read out of bytes, and compares whom they would call in the end with whom
// they should.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(100) {
		f.Add([]byte(historytest.Random(seed, 250)))
	}
	f.Fuzz(play)
}

// entry is a key in etcd, and what it says.
type entry[T any] struct {
	of      T
	created int
}

// history is one that is being played.
type history struct {
	t          *testing.T
	etcd       *etcdfake.Etcd
	registry   *Registry
	script     historytest.Script
	references [4]*referring
	listens    *collecting // nil: it does not
	providers  map[string]entry[provider]
	overrides  map[string]entry[override]
	others     map[string]bool
	created    int
	strained   bool // something was wrong since it was looked at last
	lines      []string
}

func play(t *testing.T, script []byte) {
	logtest.Record(t)
	with(t, nil, func(t *testing.T, e *etcdfake.Etcd, r *Registry) {
		h := &history{t: t, etcd: e, registry: r, script: script,
			providers: map[string]entry[provider]{}, overrides: map[string]entry[override]{}, others: map[string]bool{}}
		defer func() {
			if t.Failed() {
				t.Log(strings.Join(h.lines, "\n"))
			}
		}()
		for len(h.script) > 0 && !t.Failed() {
			h.step()
		}
		h.judge(true)
		for i := range h.references {
			h.unsubscribe(i)
		}
		if h.listens != nil {
			require.NoError(t, r.UnSubscribe(everything(), h.listens))
		}
		time.Sleep(time.Minute)
		for key := range e.Keys(prefix + layout.Consumers + "/") {
			assert.True(t, h.others[key], "%s is registered", key)
		}
		assert.Zero(t, e.Watches())
		assert.Empty(t, r.subscriptions)
		assert.Empty(t, r.consumers)
	})
}

func (h *history) next() int { return h.script.Next(256) }

func (h *history) says(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *history) step() {
	switch h.next() % 20 {
	case 0, 1:
		h.subscribe()
	case 2:
		h.leave()
	case 3, 4, 5, 6:
		h.provide()
	case 7:
		h.changes()
	case 8:
		h.gone()
	case 9, 10:
		h.overrideBy()
	case 11:
		h.crowd()
	case 12:
		h.trouble()
	case 13:
		h.other()
	case 14:
		if r := h.references[h.next()%len(h.references)]; r != nil {
			r.mu.Lock()
			r.slow = time.Duration(h.next()%3) * time.Second
			h.says("a reference of %v is slow: %v", r.sort, r.slow)
			r.mu.Unlock()
			h.strained = true
		}
	case 15, 16, 17:
		long := []time.Duration{0, 0, 0, time.Second, 12 * time.Second, time.Minute}[h.next()%6]
		h.says("%v pass", long)
		if time.Sleep(long); long == 0 {
			synctest.Wait()
		}
	case 18:
		h.listen()
	case 19:
		whole := h.strained || h.next()%4 == 0
		h.says("all is looked at, and was mended before: %v", whole)
		h.judge(whole)
	}
}

func (h *history) subscribe() {
	i, k := h.next()%len(h.references), sorts[h.next()%len(sorts)]
	if h.references[i] != nil {
		return
	}
	h.says("reference %d to %v", i, k)
	synctest.Wait() // what another one hears of, too, may be on its way
	h.references[i] = h.refer(k)
	if !h.strained {
		assert.Equal(h.t, h.references[i].wanted(), h.references[i].called(), "reference %d, with its first call", i)
	}
}

func (h *history) unsubscribe(i int) {
	if r := h.references[i]; r != nil {
		h.references[i] = nil
		r.hurries() // who waits for its end waits for a mutex: no time passes
		r.end()
	}
}

func (h *history) leave() {
	i, inside := h.next()%len(h.references), h.next()%3 == 0
	r := h.references[i]
	if r == nil {
		return
	}
	h.says("reference %d ends, when it is told something: %v", i, inside)
	synctest.Wait() // the framework does not destroy what it has not subscribed yet
	if !inside {
		h.unsubscribe(i)
		return
	}
	h.strained = true
	r.mu.Lock()
	r.leaves = true
	r.mu.Unlock()
}

func (h *history) key(category, raw string) string {
	return prefix + category + "/" + layout.Encode(raw)
}

func (h *history) put(p provider) {
	key := h.key(layout.Providers, p.url().String())
	h.etcd.Put(key, "")
	h.created++
	if e, known := h.providers[key]; known {
		h.providers[key] = e
	} else {
		h.providers[key] = entry[provider]{p, h.created}
	}
}

func (h *history) remove(key string) {
	h.etcd.Delete(key)
	delete(h.providers, key)
	delete(h.overrides, key)
	delete(h.others, key)
}

func (h *history) provide() {
	p := provider{sort: sorts[h.next()%len(sorts)], host: fmt.Sprintf("10.0.0.%d", 1+h.next()%3), port: fmt.Sprint(20000 + h.next()%2),
		started: 1 + h.next()%2, weight: h.next() % 3, enabled: h.next()%8 > 0, disabled: h.next()%8 == 0, timeout: []string{"", "9s"}[h.next()%2]}
	if h.next()%16 == 0 {
		p.note = odd
	}
	h.says("comes: %+v", p)
	h.put(p)
}

// anyOf is one of the keys.
func anyOf[T any](h *history, all map[string]T) (key string, ok bool) {
	if len(all) == 0 {
		return "", false
	}
	return slices.Sorted(maps.Keys(all))[h.next()%len(all)], true
}

// changes has a provider be registered again with other parameters, in either order.
func (h *history) changes() {
	key, ok := anyOf(h, h.providers)
	if !ok {
		return
	}
	p := h.providers[key].of
	p.weight, p.disabled, p.note = h.next()%50, h.next()%8 == 0, ""
	first := h.next()%2 == 0
	h.says("changes: %+v, the old one is deleted first: %v", p, first)
	same := h.key(layout.Providers, p.url().String()) == key
	if first {
		h.remove(key)
	}
	if h.put(p); !first && !same {
		h.remove(key)
	}
}

func (h *history) gone() {
	if key, ok := anyOf(h, h.providers); ok {
		h.says("goes: %+v", h.providers[key].of)
		h.remove(key)
	}
}

func (h *history) overrideBy() {
	if h.next()%3 == 0 {
		if key, ok := anyOf(h, h.overrides); ok {
			h.says("override goes: %s", h.overrides[key].of.raw())
			h.remove(key)
		}
		return
	}
	o := override{protocol: constant.OverrideProtocol, host: constant.AnyHostValue, sort: sorts[h.next()%2]}
	switch h.next() % 8 {
	case 0, 1, 2:
		o.host, o.port = fmt.Sprintf("10.0.0.%d", 1+h.next()%3), fmt.Sprint(20000+h.next()%2)
	case 3:
		o.host = "10.9.9.9" // another consumer
	case 4:
		if h.next()%3 == 0 {
			o.protocol = constant.EmptyProtocol
		}
	}
	o.application, o.side = []string{"", "", "caller", "shop"}[h.next()%4], []string{"", "", "consumer", "provider"}[h.next()%4]
	o.priority = h.next() % 3
	switch h.next() % 4 {
	case 0, 1:
		o.timeout = fmt.Sprint(1 + h.next()%9)
	case 2:
		o.weight = fmt.Sprint(70 + h.next()%9)
	case 3:
		o.disabled = []string{"true", "false"}[h.next()%2]
	}
	h.says("override: %s", o.raw())
	key := h.key(layout.Configurators, o.raw())
	h.etcd.Put(key, "")
	if _, known := h.overrides[key]; !known {
		h.created++
		h.overrides[key] = entry[override]{o, h.created}
	}
}

// crowd has many come or go at once.
func (h *history) crowd() {
	k, come, weight := sorts[h.next()%len(sorts)], h.next()%3 > 0, h.next()%2
	h.says("many of %v come: %v, of weight %d", k, come, weight)
	for n := range 28 {
		p := provider{sort: k, host: fmt.Sprintf("10.0.1.%d", n+1), port: "20000", started: 1, weight: weight, enabled: true}
		if come {
			h.put(p)
		} else {
			h.remove(h.key(layout.Providers, p.url().String()))
		}
	}
}

func (h *history) listen() {
	if h.listens != nil {
		h.says("the listener ends")
		require.NoError(h.t, h.registry.UnSubscribe(everything(), h.listens))
		h.listens = nil
		return
	}
	h.says("a listener begins")
	h.listens = &collecting{all: map[string]string{}}
	require.NoError(h.t, h.registry.Subscribe(everything(), h.listens))
}
