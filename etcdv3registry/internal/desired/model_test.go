// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// history is what happens to a Reconciler and its etcd, read from bytes, and what has
// to come of it: the simplest implementation that there is.
type history struct {
	t *testing.T
	e *etcdfake.Etcd
	r *Reconciler

	script  historytest.Script
	steps   []string // what happened so far
	waiting sync.WaitGroup
	held    chan struct{} // requests wait for it; nil: they do not

	mu      sync.Mutex
	wanted  map[string]*want // by id
	foreign map[string]bool  // names of keys that others have put
	stray   bool             // a request may have been done after others that came later
	deaf    bool             // etcd has refused watches
	orphans bool             // a parent may be gone, which is not looked for
}

type want struct {
	key    Key
	owners int
}

// universe are the keys that there are.
var universe = []Key{
	{Name: "/dubbo/a/providers/1", Parent: "/dubbo/a"},
	{Name: "/dubbo/a/providers/2", Parent: "/dubbo/a"},
	{Name: "/dubbo/a/consumers/3", Parent: "/dubbo/a", Optional: true},
	{Name: "/dubbo/b/consumers/4", Parent: "/dubbo/b", Optional: true},
	{Name: "/dubbo/b/configurators/5", Parent: "/dubbo/b", Persistent: true},
	{Name: "/services/app/6", Value: "v1"},
	{Name: "/services/app/6", Value: "v2"},
	{Name: "/services/app/7", Value: "v1", Alone: true},
	{Name: "/rules/8", Value: "v1", Persistent: true},
	{Name: "/rules/8", Value: "v2", Persistent: true},
	{Name: "/dubbo/mapping/9", Merge: word("shop")},
	{Name: "/dubbo/mapping/9", Merge: word("inn")},
	{Name: "/dubbo/mapping/10", Merge: word("shop"), Fresh: 10 * time.Second},
}

var moments = []time.Duration{0, time.Millisecond, 6 * time.Millisecond, 20 * time.Millisecond, 130 * time.Millisecond,
	600 * time.Millisecond, 1100 * time.Millisecond, 3500 * time.Millisecond, ttl + time.Second, time.Minute}

// next returns a number below n; 0 at the end.
func (h *history) next(n int) int { return h.script.Next(n) }

func (h *history) key() Key { return universe[h.next(len(universe))] }

func (h *history) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

func (h *history) want(key Key) {
	w := h.wanted[key.id()]
	if w == nil {
		w = &want{}
		h.wanted[key.id()] = w
	}
	w.key = key
	w.owners++
}

func (h *history) unwant(key Key) {
	if w := h.wanted[key.id()]; w != nil && w.owners > 0 {
		w.owners--
	}
}

// change starts a change, of which somebody waits for the end.
func (h *history) change(old, key *Key) {
	h.mu.Lock()
	if old != nil {
		h.unwant(*old)
	}
	if key != nil {
		h.want(*key)
	}
	c := h.r.change(old, key)
	h.mu.Unlock()
	patience := moments[h.next(len(moments))]
	h.waiting.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := c.Wait(ctx)
		if err == nil || retry.CanPass(err) || errors.Is(err, ErrConflict) || errors.Is(err, ErrClosed) || key == nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.unwant(*key) // it is refused: whoever put it takes it back
		h.r.Delete(*key)
	})
}

func (h *history) step() {
	switch h.next(24) {
	case 0, 1:
		d := moments[h.next(len(moments))]
		h.note("%v pass", d)
		time.Sleep(d)
	case 2, 3, 4:
		key := h.key()
		h.note("Put %s %s", key.id(), key.Value)
		h.change(nil, &key)
	case 5, 6:
		key := h.key()
		h.note("Delete %s", key.id())
		h.change(&key, nil)
	case 7:
		old, key := h.key(), h.key()
		h.note("Replace %s by %s %s", old.id(), key.id(), key.Value)
		h.change(&old, &key)
	case 8:
		h.postpone()
	case 9, 10:
		var names []string
		for range 1 + h.next(3) {
			names = append(names, h.key().Name)
		}
		if h.next(3) == 0 {
			names = append(names, "/dubbo/a")
			h.orphans = true // if it is not heard of
		}
		h.note("others delete %v", names)
		h.e.Delete(names...)
	case 11:
		name := h.key().Name
		h.note("others put %s", name)
		h.mu.Lock()
		h.foreign[name] = true
		h.mu.Unlock()
		h.e.Put(name, "of others")
	case 12:
		h.note("all leases end")
		h.e.Expire()
	case 13:
		h.note("etcd is away")
		h.e.Away(true)
	case 14:
		h.note("etcd stops")
		h.e.Stop()
	case 15:
		h.heal()
	case 16:
		h.note("etcd is emptied")
		h.e.Wipe()
		h.r.Resync() // as the connection does
	case 17:
		h.note("compaction")
		h.e.Compact()
	case 18:
		h.fail()
	case 19:
		h.hold()
	case 20:
		h.lose()
	case 21:
		h.disturb()
	case 22:
		n := 4 + h.next(8)
		h.note("at most %d operations", n)
		h.e.Set(func(e *etcdfake.Etcd) { e.MaxOps = n })
	case 23:
		h.note("every request is late")
		h.stray = true
		d := moments[h.next(len(moments))]
		h.e.Set(func(e *etcdfake.Etcd) { e.Late = func() time.Duration { return rand.N(d + 1) } })
	}
}

func (h *history) postpone() {
	key := universe[10+h.next(len(universe)-10)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.r.Postpone(nil, key) {
		h.note("Postpone %s", key.id())
		h.want(key)
	}
	if h.next(2) == 0 {
		c := h.r.Await(key)
		h.waiting.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = c.Wait(ctx)
		})
	}
}

// heal ends whatever is the matter with etcd.
func (h *history) heal() {
	h.note("all is well")
	h.release()
	h.e.Set(func(e *etcdfake.Etcd) { e.Lose, e.Late = nil, nil })
	h.e.Start()
	if h.next(2) == 0 {
		h.r.Retry()
	}
}

func (h *history) release() {
	if h.held != nil {
		close(h.held)
	}
	h.held = nil
	h.e.Set(func(e *etcdfake.Etcd) { e.Hold = nil })
}

func (h *history) hold() {
	h.note("etcd stands still, or goes on")
	if h.held != nil {
		h.release()
		return
	}
	held := make(chan struct{})
	h.held = held
	h.e.Set(func(e *etcdfake.Etcd) { e.Hold = held })
}

// fail has etcd fail some requests, in some way.
func (h *history) fail() {
	err := []error{
		rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCTimeout, rpctypes.ErrGRPCNoLeader,
		rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCRequestTooManyRequests, rpctypes.ErrGRPCNoSpace, etcdfake.ErrAway,
		rpctypes.ErrGRPCLeaseNotFound, rpctypes.ErrGRPCAuthFailed,
	}[h.next(10)]
	method := []string{"Txn", "Txn", "LeaseGrant", "LeaseTimeToLive", "LeaseKeepAlive", "Watch", "OpenWatches", "LeaseRevoke", ""}[h.next(9)]
	if method == "Watch" { // or else it is asked for again, as is another stream
		err = rpctypes.ErrGRPCPermissionDenied
	}
	name := ""
	if method == "Txn" && h.next(2) == 0 {
		name = h.key().Name
	}
	times := []int{1, 3, 1 << 30}[h.next(3)]
	h.note("%d %s of %q: %v", times, method, name, err)
	h.deaf = h.deaf || retry.Denied(err) && (method == "Watch" || method == "")
	h.e.Set(func(e *etcdfake.Etcd) {
		var mu sync.Mutex
		e.Fail = func(asked string, keys []string) error {
			mu.Lock()
			defer mu.Unlock()
			if times == 0 || method != "" && asked != method || name != "" && !slices.Contains(keys, name) {
				return nil
			}
			times--
			return err
		}
	})
}

func (h *history) lose() {
	times := 1 + h.next(4)
	method := []string{"Txn", "LeaseGrant"}[h.next(2)]
	h.note("%d answers to %s are lost", times, method)
	h.e.Set(func(e *etcdfake.Etcd) {
		e.Lose = func(asked string) error {
			if asked != method || times == 0 {
				return nil
			}
			times--
			return etcdfake.ErrAway
		}
	})
}

// disturb has happen what the registry and the connection do at times.
func (h *history) disturb() {
	switch h.next(4) {
	case 0:
		h.note("Resync")
		h.r.Resync()
	case 1:
		h.note("Retry")
		h.r.Retry()
	case 2:
		h.note("LeaveLease")
		h.r.LeaveLease()
	case 3:
		h.note("SetTTL")
		h.r.SetTTL([]time.Duration{ttl, ttl / 3, 3 * ttl}[h.next(3)])
	}
}

// differences are between etcd and what is wanted.
func (h *history) differences() (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := h.e.Keys("")
	wanted, leased, names := 0, 0, map[string]bool{}
	for _, w := range h.wanted {
		if w.owners == 0 {
			continue
		}
		wanted++
		names[w.key.Name] = true
		value, there := keys[w.key.Name]
		lease := h.e.Lease(w.key.Name)
		switch key := w.key; {
		case !key.leased() && h.deaf && h.r.Status().Lease.ID == 0: // nothing tells of it
		case !there:
			found = append(found, key.id()+" is not there")
		case key.Merge != nil:
			if key.Merge.Apply(Content{value, true}, false).Value != value {
				found = append(found, fmt.Sprintf("%s is %s", key.id(), value))
			}
		case key.Persistent != (lease == 0):
			found = append(found, fmt.Sprintf("%s is under lease %d", key.id(), lease))
		case key.Value != "" && key.Value != value, !key.isRead() && value != strconv.FormatInt(lease, 10):
			found = append(found, fmt.Sprintf("%s is %q and not %q", key.id(), value, key.Value))
		}
		if w.key.leased() {
			leased++
		}
		if p := w.key.Parent; p != "" && w.key.guarded() && !h.orphans && !h.deaf {
			if _, there := keys[p]; !there {
				found = append(found, "no parent of "+w.key.id())
			}
		}
	}
	for name := range keys {
		if strings.Count(name, "/") > 2 && !names[name] && !h.foreign[name] && !strings.HasPrefix(name, "/dubbo/mapping/") {
			found = append(found, name+" is there")
		}
	}
	if s := h.r.Status(); s.Wanted != wanted || s.InEtcd != wanted || s.Pending+s.Unregistered+s.RefusedCount > 0 || s.Err != nil || s.Lease.Unsure || leased > 0 && s.Lease.ID == 0 {
		found = append(found, fmt.Sprintf("of %d there is a status of %+v", wanted, s))
	}
	slices.Sort(found)
	return found
}

// run has it all happen, and looks what comes of it.
func (h *history) run() {
	for len(h.script) > 0 {
		h.step()
	}
	h.heal()
	time.Sleep(2 * time.Minute)
	h.waiting.Wait()
	if !assert.Empty(h.t, h.differences(), "after all is well") {
		return
	}
	methods := []string{"Txn", "Range", "LeaseGrant", "LeaseTimeToLive", "OpenWatches", "Watch"}
	for _, method := range methods {
		h.e.Requests(method)
	}
	time.Sleep(5 * time.Minute)
	for _, method := range methods {
		assert.Zero(h.t, h.e.Requests(method), "%s, while nothing happens", method)
	}
	var names []string
	for _, key := range universe {
		names = append(names, key.Name)
	}
	h.e.Delete(names...)
	clear(h.foreign)
	time.Sleep(2 * time.Minute)
	assert.Empty(h.t, h.differences(), "after others have deleted all keys")
	assert.NoError(h.t, h.r.Close(context.Background()))
	for _, key := range universe {
		assert.Zero(h.t, h.e.Lease(key.Name), "after Close, %s", key.Name)
	}
}

func runHistory(t *testing.T, script historytest.Script) {
	var h *history
	logtest.Record(t)
	defer func() {
		if t.Failed() {
			t.Log("what happened:\n" + strings.Join(h.steps, "\n"))
		}
	}()
	withReconciler(t, func(t *testing.T, e *etcdfake.Etcd, r *Reconciler) {
		h = &history{t: t, e: e, r: r, script: script, wanted: map[string]*want{}, foreign: map[string]bool{}}
		defer h.release()
		h.run()
	})
}

func FuzzHistory(f *testing.F) {
	f.Fuzz(func(t *testing.T, bytes []byte) { runHistory(t, bytes[:min(len(bytes), 200)]) })
}

func TestWhateverHappensEtcdHasWhatIsWantedInTheEnd(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { runHistory(t, historytest.Random(seed, 130)) })
	}
}
