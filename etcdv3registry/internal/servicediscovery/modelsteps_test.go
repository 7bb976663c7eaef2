// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
)

// unkept is how long a lease of others lasts that nobody keeps alive.
const unkept = 3 * time.Second

// steps are what may happen; those that shape most are there more often.
var steps = []func(*history){
	(*history).others, (*history).others, (*history).others, (*history).others, (*history).others, (*history).others,
	(*history).garbage,
	(*history).owns, (*history).owns,
	(*history).restartsOwner,
	(*history).mood, (*history).mood,
	(*history).reads, (*history).reads, (*history).reads,
	(*history).looks, (*history).looks,
	(*history).listens, (*history).listens, (*history).listensToMore,
	(*history).unlistens,
	(*history).slows,
	(*history).asks,
	(*history).overrides,
	(*history).goesAway, (*history).comesBack,
	(*history).isWiped,
	(*history).isCompacted,
	(*history).refuses,
	(*history).standsStill,
	(*history).passes, (*history).passes, (*history).passes,
	(*history).restartsUser,
}

// step does what the input says next; false: it has ended.
func (h *history) step() bool {
	if len(h.input) == 0 || h.t.Failed() {
		return false
	}
	steps[h.next(len(steps))](h)
	return true
}

// made is an instance that nobody has put yet.
func (h *history) made(app, host string, port int, revision string) *instance {
	h.stamps++
	i := &instance{app: app, host: host, port: port, revision: revision, weight: 100, stamp: h.stamps}
	return i
}

// app is the name of an application: of the same one most of the time.
func (h *history) app() string { return apps[max(0, h.next(6)-3)] }

// picked is one that the input says.
func (h *history) picked() *instance {
	app, where, what := h.app(), h.next(4), h.next(256)
	i := h.made(app, hosts[where/2], ports[where%2], revisions[what%8])
	i.weight, i.tag, i.both = []int64{100, 7}[what/8%2], []string{"", "gray"}[what/16%2], what/32%2 == 1
	return i
}

// put is that of another process.
func (h *history) put(i *instance) {
	h.instances[i.value()] = i
	h.e.Put(i.key(), i.value())
}

// others has another process put an instance, or delete it.
func (h *history) others() {
	i, how := h.picked(), h.next(9)
	key, value := i.key(), i.value()
	before := h.e.Keys(key)[key]
	h.instances[value] = i
	switch how {
	default:
		h.do("%s: put %v", key, i)
		h.e.PutUnder(key, value, int64(1000+i.stamp))
	case 2:
		h.do("%s: put %v, which vanishes", key, i)
		h.e.PutUnder(key, value, int64(1000+i.stamp))
		time.AfterFunc(unkept, func() {
			if h.e.Keys(key)[key] == value {
				h.e.Delete(key)
			}
		})
	case 3:
		h.do("%s: put %v without a lease", key, i)
		h.e.Put(key, value)
	case 4:
		h.do("%s: put %v, of which nothing is heard yet", key, i)
		h.e.PutSilently(key, value)
	case 5:
		h.do("%s: deleted, and put %v", key, i)
		h.e.Delete(key)
		h.e.Put(key, value)
	case 6:
		h.do("%s: deleted, and put as it was", key)
		if before != "" {
			h.e.Delete(key)
			h.e.Put(key, before)
		}
	case 7, 8:
		h.do("%s: deleted", key)
		h.e.Delete(key)
	}
}

// garbage has others put what is no instance.
func (h *history) garbage() {
	i := h.picked()
	key := i.key()
	switch h.next(4) {
	case 0:
		h.do("%s: put garbage", key)
		h.e.Put(key, "{")
	case 1:
		i.host = "10.0.0.4"
		h.do("%s: put %v", key, i)
		h.e.Put(key, i.value())
	case 2:
		h.do("%s/x: put something", key)
		h.e.Put(key+"/x", "{}")
	default:
		h.do("all under /services/%s/ is deleted", i.app)
		for name := range h.e.Keys("/services/" + i.app + "/") {
			h.e.Delete(name)
		}
	}
}

// owns has a process register an instance, or unregister it.
func (h *history) owns() {
	n, i := h.next(2), h.picked()
	i.host = hosts[2+n]
	h.instances[i.value()] = i
	if d := h.owners[n]; h.next(3) > 0 {
		h.do("owner %d registers %v of %s", n, i, i.app)
		require.NoError(h.t, d.Update(i.registered()))
	} else {
		h.do("owner %d unregisters %s", n, i.key())
		require.NoError(h.t, d.Unregister(i.registered()))
	}
}

func (h *history) restartsOwner() {
	n := h.next(2)
	h.do("owner %d ends", n)
	_ = h.owners[n].Destroy()
	h.swap(&h.owners[n], h.owner(n))
}

func (h *history) mood() {
	name, of, to := h.app(), h.next(8), mood(h.next(int(lastMood)))
	switch {
	case of < 4:
		name += " " + revisions[of]
	case of < 6:
		name = hosts[of-4]
	}
	h.do("%s %v", name, to)
	h.metadata.set(name, to)
}

// reads has a reader open or close a feed.
func (h *history) reads() {
	r, app, d := h.readers[h.next(2)], h.app(), max(0, h.next(4)-2)
	if r.feeds[app] != nil {
		h.do("%s closes %s", r.name, app)
		r.close(app)
		return
	}
	h.do("%s opens %s at %d", r.name, app, d)
	r.open(h.users[d], app)
}

// look has all readers look, when nothing happens any more.
func (h *history) look() {
	synctest.Wait()
	for _, r := range h.readers {
		r.look()
	}
}

func (h *history) looks() {
	r := h.readers[h.next(2)]
	h.do("%s of %v looks", r.name, r.knows())
	r.look()
}

func (h *history) listens() {
	d, asks, habit, first, second := h.users[h.next(2)], h.next(2) == 1, habit(h.next(2*int(lastHabit))), h.app(), h.app()
	if habit >= lastHabit {
		habit = listens
	}
	h.follow(d, asks, habit, first, second)
}

// picksListener is one of those that listen; nil: nobody does.
func (h *history) picksListener() (n int, l *modelListener) {
	if len(h.listeners) == 0 {
		return 0, nil
	}
	n = h.next(len(h.listeners))
	return n, h.listeners[n]
}

func (h *history) listensToMore() {
	if _, l := h.picksListener(); l != nil && !l.waits() && l.habit != leaves {
		app := h.app()
		h.do("%s names %s, too", l.name, app)
		h.name(l, h.next(2) == 1, app)
	}
}

func (h *history) unlistens() {
	if n, l := h.picksListener(); l != nil {
		aside := h.next(2) == 1
		h.do("%s is removed, aside: %v", l.name, aside)
		if aside {
			h.removeAside(n)
		} else {
			h.remove(n)
		}
	}
}

// slows has a listener wait in what it is told. One of several applications would have
// a lock waited for, and time would not pass.
func (h *history) slows() {
	switch _, l := h.picksListener(); {
	case l == nil || l.ended.Load():
	case l.waits():
		h.do("%s goes on", l.name)
		l.release()
	case len(l.apps()) == 1:
		h.do("%s waits in what it is told", l.name)
		l.hesitate()
	}
}

func (h *history) asks() {
	n, app := h.next(2), h.app()
	h.do("%d is asked for %s", n, app)
	h.ask(h.users[n], app)
}

func (h *history) overrides() {
	h.do("overrides change")
	for _, l := range slices.Concat(h.listeners, h.left) { // who is being removed may have been before
		l.mayBeToldAgain()
	}
	cluster.OverridesChanged(nil)
}

func (h *history) passes() {
	d := []time.Duration{0, time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 15 * time.Second, time.Minute}[h.next(6)]
	h.do("%v pass", d)
	time.Sleep(d)
	h.look()
	if d < time.Minute {
		return
	}
	for _, r := range h.readers {
		for app, feed := range r.feeds {
			assert.True(h.t, feed.Settled(), "%s of %s is settled, whatever is wrong", r.name, app)
		}
	}
	if h.e.Put("/other", ""); h.isWell(d) && h.metadata.areWell(d) {
		synctest.Wait()
		h.check()
	}
}

// restartsUser destroys a Discovery, and those who follow something by it end.
func (h *history) restartsUser() {
	n := h.next(2)
	d := h.users[n]
	h.do("%d is destroyed", n)
	var listening []*modelListener
	for _, l := range h.listeners {
		if l.d == d {
			listening = append(listening, l)
		}
	}
	ending(func() { _ = d.Destroy() }, listening...)
	h.listeners = slices.DeleteFunc(h.listeners, func(l *modelListener) bool { return l.d == d })
	h.left = append(h.left, listening...)
	for _, r := range h.readers {
		for app, feed := range r.feeds {
			if feed.app.discovery == d {
				r.close(app)
			}
		}
	}
	delete(h.asked, d)
	_, err := d.Open("shop", h.readers[0].changed)
	assert.Error(h.t, err)
	h.swap(&h.users[n], h.user())
}

func (h *history) swap(one **Discovery, by *Discovery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*one = by
}
