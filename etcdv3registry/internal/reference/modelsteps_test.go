// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// step does the next thing of the script.
func (h *history) step() {
	switch h.next() % 24 {
	case 0, 1:
		h.subscribe()
	case 2:
		h.leave()
	case 3, 4:
		h.mapping()
	case 5, 6, 7, 8:
		h.put()
	case 9:
		h.change()
	case 10:
		h.gone()
	case 11:
		h.crowd()
	case 12:
		app, settled := h.app(), h.next()%2 == 0
		h.says("application %s is settled: %v", app, settled)
		h.strained = h.strained || !settled
		h.settle(app, settled)
	case 13:
		h.unread()
	case 14:
		port, refused := h.ports[h.next()%6], h.next()%2 == 0
		h.says("port %d refuses: %v", port, refused)
		h.strained = true
		h.network.Lock()
		h.refused[port] = refused
		h.network.Unlock()
	case 15:
		h.slowDown()
	case 16, 17:
		h.override.rule = h.next() % 6
		h.says("override %d", h.override.rule)
		h.center.set("caller.configurators", h.override.text())
	case 18:
		h.retires()
	case 19:
		h.says("overrides have changed, it is said")
		h.center.changed()
	case 20, 21, 22:
		h.wait()
	case 23:
		whole := h.strained || h.next()%4 == 0
		h.says("all is looked at, and was mended before: %v", whole)
		h.judge(whole)
	}
}

func (h *history) subscribe() {
	i, kind := h.next()%len(h.references), h.next()%(len(services)+1)
	if r := h.references[i]; r != nil {
		h.says("reference %d starts again", i)
		r.start()
		return
	}
	if kind < len(services) {
		h.references[i] = h.refer(services[kind])
	} else {
		h.references[i] = h.refer(services[0], applications[:2]...)
	}
	r := h.references[i]
	h.says("reference %d to %v of %v", i, r.service, r.fixed)
	r.start()
	if !h.strained {
		time.Sleep(time.Nanosecond) // it has been told before anything takes time
		synctest.Wait()
	}
}

func (h *history) leave() {
	i, how := h.next()%len(h.references), h.next()%4
	r := h.references[i]
	if r == nil {
		return
	}
	h.says("reference %d ends (%d)", i, how)
	switch how {
	case 0, 1:
		h.unsubscribe(i)
	case 2: // by several at once
		h.references[i] = nil
		go r.end()
		r.end()
	case 3:
		h.strained = true
		r.telling.Lock()
		r.leaves = true
		r.telling.Unlock()
	}
}

func (h *history) mapping() {
	name := services[h.next()%len(services)].name
	i, r := h.report()
	app, how := h.app(), h.next()%8
	r.change(func(r *modelReport) {
		switch names := r.names[name]; {
		case how == 0:
			r.names[name] = nil
		case how == 1:
			r.names[name] = slices.Clone(applications)
		case slices.Contains(names, app):
			r.names[name] = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == app })
		default:
			r.names[name] = slices.Sorted(slices.Values(append(slices.Clone(names), app)))
		}
		h.says("report %d: %s is served by %v", i, name, r.names[name])
	})
}

// put has an instance come, or be another one, or change.
func (h *history) put() {
	app := h.app()
	o := h.content(offer{host: "127.0.0.1", port: h.ports[h.next()%len(h.ports)]})
	if h.next()%8 > 0 {
		h.created++
		o.created = h.created
	}
	h.says("%s: %+v", app, o)
	h.offer(app, o.key(), &o)
}

// content has an instance serve something else.
func (h *history) content(o offer) offer {
	o.shape, o.other = h.next()%3, h.ports[h.next()%len(h.ports)]
	if o.other == o.port {
		o.shape = 0
	}
	o.weight, o.tag = int64(h.next()%3), []string{"", "gray"}[h.next()%2]
	o.serves = byte(h.next()) % 16
	switch o.note = fmt.Sprint(h.next() % 16); o.note {
	case "0":
		o.note, h.odd, h.strained = odd, true, true
	case "1":
		o.serves = 0
	}
	return o
}

// change has an instance that is there change, and be the same.
func (h *history) change() {
	app, port := h.app(), h.ports[h.next()%len(h.ports)]
	o, ok := h.offers[app][offer{host: "127.0.0.1", port: port}.key()]
	if !ok {
		return
	}
	switch h.next() % 4 {
	case 0:
		o = h.content(o)
	case 1:
		o.weight = int64(h.next() % 100)
	case 2:
		o.serves = byte(h.next()) % 16
	case 3: // it was started again, or etcd was restored
		h.created++
		o.created = h.created
	}
	h.says("%s changes: %+v", app, o)
	h.offer(app, o.key(), &o)
}

func (h *history) gone() {
	app, port := h.app(), h.ports[h.next()%len(h.ports)]
	h.says("%s: %d is gone", app, port)
	h.offer(app, offer{host: "127.0.0.1", port: port}.key(), nil)
}

// crowd has many come, change or go at once.
func (h *history) crowd() {
	app, weight, come := h.app(), int64(h.next()%3), h.next()%3 > 0
	h.says("%s: many come: %v, of weight %d", app, come, weight)
	for n := range 26 {
		o := offer{host: fmt.Sprintf("10.0.%d.%d", slices.Index(applications, app), n+1), port: 20000, weight: weight, serves: 3, note: "7", created: 1}
		if come {
			h.offer(app, o.key(), &o)
		} else {
			h.offer(app, o.key(), nil)
		}
	}
}

func (h *history) unread() {
	i, r := h.report()
	away, fails, slow, late := h.next()%2 == 0, h.next()%2 == 0, h.next()%3, h.next()%3
	h.says("report %d is away: %v, which is an error: %v; slow: %d, late: %d", i, away, fails, slow, late)
	h.strained = true
	r.change(func(r *modelReport) {
		r.away, r.slow, r.late = away, time.Duration(slow)*2*time.Second, time.Duration(late)*time.Second
		if r.err = nil; fails {
			r.err = assert.AnError
		}
	})
}

func (h *history) slowDown() {
	i, slow := h.next()%len(h.references), h.next()%4
	if r := h.references[i]; r != nil {
		h.says("reference %d is slow: %d", i, slow)
		h.strained = true
		r.telling.Lock()
		defer r.telling.Unlock()
		r.slow = time.Duration(slow) * time.Second
	}
}

func (h *history) retires() {
	i, port := h.next()%len(h.references), h.ports[h.next()%6]
	if r := h.references[i]; r != nil {
		h.says("reference %d: who is at port %d says that it is about to stop", i, port)
		h.strained = true
		r.retire(port)
	}
}

func (h *history) wait() {
	long := []time.Duration{0, 0, 0, 20 * time.Millisecond, 200 * time.Millisecond, time.Second, 12 * time.Second, 40 * time.Second}[h.next()%8]
	h.says("%v pass", long)
	if time.Sleep(long); long == 0 {
		synctest.Wait()
	}
}
