// SPDX-License-Identifier: Apache-2.0

// Package lease keeps the keys that this process wants in etcd: all of them
// under one lease, put again whenever they are not there.
//
// What is wanted is a set. Put, Replace and Delete change the set and wait
// until etcd agrees; a single goroutine compares the set with what etcd has and
// writes the difference, in shared transactions. A lost lease, a wiped store or
// a key deleted by hand are the same event to it: a difference.
package lease

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// ErrClosed is the result of a Put after Close.
var ErrClosed = fmt.Errorf("the lease has been given up, this process is shutting down: %w", context.Canceled)

// Key is a key that should exist.
type Key struct {
	Name string
	// Parent is created together with the first key that names it, without a
	// lease and only if it is absent, and never deleted. Empty: none.
	Parent string
	// Persistent keys have no lease: they outlive the process.
	Persistent bool
	// Value of the key. Empty: the id of its lease in decimal, as Java writes it,
	// or nothing where there is no lease.
	Value string
}

// Config is what a Keeper needs.
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
	// Looked is called when it was looked whether the keys are there, because the
	// store has changed: other keys may be gone. It must not block. Nil: nobody is
	// interested.
	Looked func()
	// Backoff is for the background. Nil: from 200 ms to 5 s, or a quarter of the TTL.
	Backoff retry.Policy
}

// Keeper keeps keys. Its methods may be called from any goroutine.
type Keeper struct {
	cfg        Config
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	start      sync.Once     // of the writer, by the first change
	ttl        atomic.Int64  // a time.Duration
	suspicious atomic.Bool   // set by Check
	wake       chan struct{} // tells the writer that something is queued
	done       chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	entries map[string]*entry // every key that is wanted, or may be in etcd and is not wanted any more
	queue   []*entry          // what differs from etcd, in the order of the changes
	trouble error             // what the last attempt to write failed with; nil: it worked
	away    error             // why those who wait were told not to, until etcd takes changes again
	closed  bool

	writer writer // belongs to the writer's goroutine
}

// New makes a Keeper. Nothing is sent, and no goroutine started, before the
// first change.
func New(cfg Config) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{
		cfg:     cfg,
		ctx:     ctx,
		cancel:  cancel,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		entries: map[string]*entry{},
		writer:  writer{maxOps: maxTxnOps, parents: map[string]parent{}},
	}
	k.SetTTL(cfg.TTL)
	return k
}

// backoff is the schedule for the background.
func (k *Keeper) backoff() backoff.BackOff {
	if k.cfg.Backoff != nil {
		return k.cfg.Backoff.BackOff()
	}
	// Leases live on for a TTL when etcd is back: the keys have to be there by then.
	return retry.Backoff(200*time.Millisecond, max(200*time.Millisecond, min(5*time.Second, k.TTL()/4))).BackOff()
}

// SetTTL changes the TTL of the leases that are taken from now on.
func (k *Keeper) SetTTL(ttl time.Duration) { k.ttl.Store(int64(ttl)) }

// TTL of the leases that are taken from now on.
func (k *Keeper) TTL() time.Duration { return time.Duration(k.ttl.Load()) }

// Put adds a key to what is wanted. Each Put of a key is undone by a Delete of
// its own. Where several put the same key, it has the value of the last one.
func (k *Keeper) Put(key Key) *Change { return k.change("", &key) }

// Replace is Delete of old and Put of key in one transaction of etcd: nobody
// sees both, or neither. If etcd refuses key, old is gone all the same; where
// both have the same name, what it was before stays until Delete.
func (k *Keeper) Replace(old string, key Key) *Change { return k.change(old, &key) }

// Delete takes keys out of what is wanted; they are deleted unless somebody
// else in this process put them too. A key that nobody put is left alone.
func (k *Keeper) Delete(name string) *Change { return k.change(name, nil) }

// Change is a change of what is wanted. It goes on whether somebody waits for
// it or not.
type Change struct {
	keeper *Keeper
	waits  []chan error // one for each key that etcd does not agree about yet
	err    error        // known from the start
}

// Wait returns when etcd agrees. It is for one caller, once.
//
// An error that cannot pass (retry.CanPass) means that etcd refused the key;
// the caller should Delete what it Put. After any other error, the end of ctx
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
			return c.keeper.because(ctx.Err())
		}
	}
	return nil
}

// because adds to the end of a wait what etcd said last, if it did not work.
func (k *Keeper) because(ended error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trouble == nil {
		return ended
	}
	return fmt.Errorf("%w, the last attempt: %w", ended, k.trouble)
}

func (k *Keeper) change(remove string, add *Key) *Change {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &Change{keeper: k}
	if k.closed {
		if add != nil {
			c.err = ErrClosed
		}
		return c // what was to be deleted went with the lease
	}
	changed := []*entry{k.unwantLocked(remove)}
	if add != nil {
		changed = append(changed, k.wantLocked(*add))
		pair(changed[0], changed[1])
	}
	for _, e := range changed {
		if e != nil && !e.settled() {
			c.waits = append(c.waits, e.waitLocked())
			k.enqueueLocked(e)
		}
	}
	if len(c.waits) > 0 {
		// While etcd is known to be away nobody waits for it: those that come one
		// after another would add up.
		c.err = k.away
		k.signal()
	}
	return c
}

func (k *Keeper) signal() {
	k.start.Do(func() { go k.run() })
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Check has the Keeper look, as it keeps the lease the next time, whether etcd
// still has all keys: what it talks to may be another store than before. It may
// be called from anywhere.
func (k *Keeper) Check() {
	k.suspicious.Store(true)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.entries) > 0 && !k.closed {
		k.signal() // with a lease the writer waits for the next keep-alive all the same
	}
}

// Len is the number of keys that are wanted.
func (k *Keeper) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, e := range k.entries {
		if e.owners > 0 {
			n++
		}
	}
	return n
}

// Close gives up the lease: the keys under it are gone from etcd when Close
// returns, those without a lease stay. It waits for etcd until ctx ends; then
// the lease expires by itself. Only the first call does something.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	for _, e := range k.entries {
		e.tellLocked(ErrClosed)
	}
	k.mu.Unlock()

	k.cancel()
	k.start.Do(func() { close(k.done) })
	select {
	case <-k.done:
	case <-ctx.Done():
		return fmt.Errorf("give up the lease (its keys go within %v): %w", k.TTL(), ctx.Err())
	}
	return k.revoke(ctx)
}
