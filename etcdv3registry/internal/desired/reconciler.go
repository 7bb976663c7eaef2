// SPDX-License-Identifier: Apache-2.0

// Package desired makes the keys that this process wants in etcd so, and keeps
// them so.
//
// The desired state is a set of keys. Put, Replace and Delete change the set and
// wait until etcd agrees; a single goroutine compares the set with what etcd has
// and writes the difference, in shared transactions. A lost lease, a wiped store
// or a key deleted by hand are the same event to it: a difference.
//
// A key is under the lease that all share, or persistent, or merged into what
// others write, by compare-and-swap.
package desired

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/limits"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// ErrClosed is the result of a Put after Close.
var ErrClosed = fmt.Errorf("the lease has been given up, this process is shutting down: %w", context.Canceled)

// Config is what a Reconciler needs.
type Config struct {
	// Dial returns the client; it may block until there is one.
	Dial func(context.Context) (*clientv3.Client, error)
	// TTL of the lease, in whole seconds at etcd, rounded up.
	TTL time.Duration
	// Timeout of one request.
	Timeout time.Duration
	// Retry is for changes that somebody waits for. After that they are told,
	// and the change is retried in the background until it holds.
	Retry retry.Policy
	// Waiting returns a context for a call of the framework that waits so long for
	// etcd; it may end sooner when etcd is known to be away. Nil: it does not.
	Waiting func(time.Duration) (context.Context, context.CancelFunc)
	// Limits of etcd, which those who share them learn together. Nil: its own.
	Limits *limits.Limits
	// OpenWatches opens a stream, of which etcd hears nothing else, to be told at once
	// of keys that somebody deletes; it may block until there is one. Nil: that is
	// found out when it is looked whether etcd still has them.
	OpenWatches func(context.Context, *clientv3.Client) (WatchStream, error)
}

// Reconciler makes etcd agree with what is desired. Its methods may be called
// from any goroutine.
type Reconciler struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	start   sync.Once     // of the goroutine, by the first change
	ttl     atomic.Int64  // a time.Duration
	resync  atomic.Bool   // set by Resync
	wake    chan struct{} // something is queued
	doubt   chan struct{} // Resync was called
	denied  chan struct{} // LeaveLease was called
	losses  chan struct{} // somebody has deleted a key
	back    chan struct{} // Retry was called
	done    chan struct{} // closed when the goroutine has ended
	watches *watches      // of what may be deleted

	mu        sync.Mutex
	entries   map[string]*entry // by id: all that is wanted, or may be in etcd and is not wanted any more
	queue     []*entry          // what differs from etcd, in the order of the changes
	merges    []*entry          // likewise, of those that are merged
	later     []*entry          // likewise, of those that were postponed
	parked    []*entry          // likewise, of those that others change as well
	trouble   error             // what the last attempt to write failed with; nil: it worked
	away      error             // why those who wait were told not to, until etcd takes changes again
	mergeable bool              // the last merge was taken, and all that came with it
	parents   map[string]int    // how many keys that are desired, and guarded, name one
	sentinel  string            // the one key that is watched of those that are not guarded
	lost      []*entry          // somebody has deleted them, and they are not queued yet
	orphaned  map[string]int64  // names that somebody has deleted, parents among them, and at which revision
	missing   []string          // parents that are to be created again
	merged    struct {
		considering bool // it is, whether they are to be watched
		watched     bool // they are
	}
	closed bool

	writer writer // belongs to the goroutine
	record record
}

// New makes a Reconciler. Nothing is sent, and no goroutine started, before the
// first change.
func New(cfg Config) *Reconciler {
	if cfg.Limits == nil {
		cfg.Limits = &limits.Limits{}
	}
	if cfg.Waiting == nil {
		cfg.Waiting = func(d time.Duration) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), d)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reconciler{
		cfg:      cfg,
		ctx:      ctx,
		cancel:   cancel,
		wake:     make(chan struct{}, 1),
		doubt:    make(chan struct{}, 1),
		denied:   make(chan struct{}, 1),
		losses:   make(chan struct{}, 1),
		back:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		entries:  map[string]*entry{},
		parents:  map[string]int{},
		orphaned: map[string]int64{},
	}
	r.watches = newWatches(r)
	r.writer = newWriter(r)
	r.SetTTL(cfg.TTL)
	return r
}

// backoff is the schedule for the background.
func (r *Reconciler) backoff() backoff.BackOff {
	// Leases live on for a TTL when etcd is back: the keys have to be there by then.
	return retry.Backoff(200*time.Millisecond, max(200*time.Millisecond, min(5*time.Second, r.TTL()/4))).BackOff()
}

// SetTTL changes the TTL of the leases that are taken from now on.
func (r *Reconciler) SetTTL(ttl time.Duration) { r.ttl.Store(int64(ttl)) }

// TTL of the leases that are taken from now on.
func (r *Reconciler) TTL() time.Duration { return time.Duration(r.ttl.Load()) }

// Put adds a key to what is desired. Each Put of a key is undone by a Delete of
// its own. Where several put the same key, it has the value of the last one.
func (r *Reconciler) Put(key Key) *Change { return r.change(nil, &key) }

// Replace is Delete of old and Put of key in one transaction of etcd: nobody
// sees both, or neither. If etcd refuses key, old is gone all the same; where
// both have the same name, what it was before stays until Delete.
func (r *Reconciler) Replace(old, key Key) *Change { return r.change(&old, &key) }

// Delete takes a key out of what is desired; it is deleted unless somebody
// else in this process put it too. A key that nobody put is left alone.
func (r *Reconciler) Delete(key Key) *Change { return r.change(&key, nil) }

// Postpone is Put, or Replace of old unless nil, of a merged key that nobody
// needs for now: it is written a second later, or with what Await is called for,
// all at once. It reports false, and does nothing, unless all was taken that was
// merged last: then it is to be waited for.
func (r *Reconciler) Postpone(old *Key, key Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mergeable || r.away != nil || r.closed {
		return false
	}
	if old != nil {
		defer r.forgetLocked(r.unwantLocked(*old))
	}
	if e := r.wantLocked(key); !e.inSync() {
		if r.later = append(r.later, e); len(r.later) == 1 {
			time.AfterFunc(lingering, r.hurry)
		}
	}
	return true
}

// Await returns the change that made key desired, which may have been settled
// meanwhile. Whatever was postponed is written now.
func (r *Reconciler) Await(key Key) *Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hurryLocked()
	return r.changeLocked(r.entries[key.id()])
}

// hurry has what was postponed written.
func (r *Reconciler) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hurryLocked()
	r.signal(r.wake)
}

func (r *Reconciler) hurryLocked() {
	for _, e := range r.later {
		r.enqueueLocked(e)
	}
	r.later = nil
}

// Change is a change of what is desired. It goes on whether somebody waits for
// it or not.
type Change struct {
	reconciler *Reconciler
	waits      []chan error // one for each key that etcd does not agree about yet
	err        error        // known from the start
}

// Wait returns when etcd agrees. It is for one caller, once.
//
// An error that cannot pass (retry.CanPass) means that etcd refused the key;
// the caller should Delete what it Put. ErrConflict is one that says that others
// changed a merged key all the time. After any other error, the end of ctx
// included, the change is made as soon as etcd takes it.
func (c *Change) Wait(ctx context.Context) error {
	if c.err != nil {
		return c.err
	}
	for _, settled := range c.waits {
		select {
		case err := <-settled:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return c.reconciler.because(retry.Ended(ctx))
		}
	}
	return nil
}

// because adds to the end of a wait what etcd said last, if it did not work.
func (r *Reconciler) because(ended error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble == nil {
		return ended
	}
	return fmt.Errorf("%w, the last attempt: %w", ended, r.trouble)
}

func (r *Reconciler) change(remove, add *Key) *Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c := &Change{reconciler: r}
		if add != nil {
			c.err = ErrClosed
		}
		return c // what was to be deleted went with the lease
	}
	var removed, added *entry
	if remove != nil {
		removed = r.unwantLocked(*remove)
	}
	if add != nil {
		added = r.wantLocked(*add)
		pair(removed, added)
	}
	defer r.forgetLocked(removed)
	return r.changeLocked(removed, added)
}

// changeLocked has entries written, if they have to be.
func (r *Reconciler) changeLocked(changed ...*entry) *Change {
	c := &Change{reconciler: r}
	for _, e := range changed {
		if e != nil && !e.inSync() {
			e.parked = e.parked && e.key.Merge != nil
			c.waits = append(c.waits, e.waitLocked())
			r.enqueueLocked(e)
		}
	}
	if len(c.waits) > 0 {
		// While etcd is known to be away nobody waits for it: those that come one
		// after another would add up.
		c.err = r.away
		r.signal(r.wake)
	}
	return c
}

func (r *Reconciler) signal(c chan struct{}) {
	r.start.Do(func() { go r.run() })
	delivery.Signal(c)
}

// Resync has the Reconciler look whether etcd still has all keys, with a lease as
// it keeps it the next time: what it talks to may be another store than before.
func (r *Reconciler) Resync() {
	r.resync.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) > 0 && !r.closed {
		r.signal(r.doubt)
	}
}

// LeaveLease is called when etcd does not keep the lease alive any more, as the user
// may not write one of its keys: the others would go with it. They are put under
// another lease before that; what was the reason is left to the old one.
func (r *Reconciler) LeaveLease() { r.signal(r.denied) }

// Retry has what waits for an etcd that is away tried at once: it may be back.
func (r *Reconciler) Retry() { delivery.Signal(r.back) }

// Len is the number of keys that are desired.
func (r *Reconciler) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countLocked(func(e *entry) bool { return e.owners > 0 })
}

// Close gives up the lease: the keys under it are gone from etcd when Close
// returns, those without a lease stay. It waits for etcd until ctx ends; then
// the lease expires by itself. Only the first call does something.
func (r *Reconciler) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	for _, e := range r.entries {
		e.tellLocked(ErrClosed)
	}
	r.mu.Unlock()

	r.cancel()
	started := true
	if r.start.Do(func() { started = false }); !started {
		return nil // there is no lease
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("give up the lease (its keys go within %v): %w", r.TTL(), ctx.Err())
	}
	return r.revoke(ctx)
}
