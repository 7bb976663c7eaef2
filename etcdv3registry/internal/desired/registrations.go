// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Registrations are the keys that one user desires (a registry, a service
// discovery, a metadata report), as calls of the framework that wait for etcd.
// Each key is in a slot, which has one. The methods may be called from any
// goroutine.
type Registrations struct {
	cfg    RegistrationsConfig
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	optional sync.Once // the log was told that some may not be registered

	mu         sync.Mutex // guards what follows
	closing    bool       // nothing is postponed any more
	closed     bool
	reconciler *Reconciler // nil before the first use
	slots      map[string]*slot
	turns      map[string]*turn
}

// RegistrationsConfig is what Registrations need.
type RegistrationsConfig struct {
	// Use returns the Reconciler.
	Use       func() (*Reconciler, error)
	Timeout   time.Duration // how long a call waits for etcd
	Check     bool          // an etcd that is away is an error to all
	Endpoints []string      // of etcd, for the log
	// Closed is the error of a call after Close.
	Closed error
}

// Registration is a key, and what there is to say of it.
type Registration struct {
	Slot string
	Key  Key
	Name string // in the log: "provider org.e2e.Greeter (tri://10.0.0.7:20000)"
	// Check has an etcd that is away be an error.
	Check bool
}

// slot is what one holds. It is guarded by Registrations.mu.
type slot struct {
	now       Registration
	accepted  *Registration // the last of which the caller was told of no error; nil: none was
	postponed bool          // that is the case before it was written
}

// NewRegistrations returns none. It does nothing before the first call.
func NewRegistrations(cfg RegistrationsConfig) *Registrations {
	ctx, cancel := context.WithCancel(context.Background())
	return &Registrations{cfg: cfg, ctx: ctx, cancel: cancel, slots: map[string]*slot{}, turns: map[string]*turn{}}
}

// Register has a key in its slot, and keeps it there until Unregister or Close,
// instead of the key that was there, if there was one, in one transaction.
//
// It waits for etcd until the timeout. If etcd is away it returns nil, logs a
// warning, and the key is put when etcd is back, unless that is to be an error.
// What etcd refuses always is. After an error what was registered before stays.
// Of those who register in the same slot at a time one waits for the other.
func (r *Registrations) Register(n Registration) error {
	defer r.take(n.Slot)()
	change, err := r.put(&n)
	if err != nil {
		return err
	}
	err = r.wait(change)
	if away := err != nil && r.passes(n, err); err == nil || away {
		r.accept(n)
		if away {
			logger.Warnf("[etcdv3] %s is not registered yet, it will be as soon as etcd at %v takes it: %v", n.Name, r.cfg.Endpoints, err)
		}
		return nil
	}
	r.undo(n)
	if n.Key.Optional && retry.Denied(err) {
		r.optional.Do(func() {
			logger.Infof("[etcdv3] %s is not registered, nor is what else may not be: etcd does not let this user. It works without, but nobody sees it: %v", n.Name, err)
		})
		return nil
	}
	return err
}

// RegisterLater is Register of a merged key that nobody needs before Flush is
// called: it does not wait, if etcd has taken all of the kind so far.
func (r *Registrations) RegisterLater(n Registration) error {
	if !r.postpone(n) {
		return r.Register(n)
	}
	return nil
}

// passes reports whether an error is none for the framework.
func (r *Registrations) passes(n Registration, err error) bool {
	return retry.CanPass(err) && !n.Check && !r.cfg.Check && !errors.Is(err, ErrConflict) && r.ctx.Err() == nil
}

// wait waits for a change until the timeout, or Close.
func (r *Registrations) wait(change *Change) error {
	ctx, cancel := change.reconciler.cfg.Waiting(r.cfg.Timeout)
	defer cancel()
	return r.waitUntil(ctx, change)
}

func (r *Registrations) waitUntil(ctx context.Context, change *Change) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	err := change.Wait(ctx)
	if r.ctx.Err() != nil { // what Close has taken back is in sync, too
		return r.cfg.Closed
	}
	return err
}

func (r *Registrations) useLocked() (*Reconciler, error) {
	if r.closed {
		return nil, r.cfg.Closed
	}
	var err error
	if r.reconciler == nil {
		r.reconciler, err = r.cfg.Use()
	}
	return r.reconciler, err
}

// put notes what is registered and starts the change that makes it so.
func (r *Registrations) put(n *Registration) (*Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reconciler, err := r.useLocked()
	if err != nil {
		return nil, err
	}
	s := r.slots[n.Slot]
	if s == nil {
		r.slots[n.Slot] = &slot{now: *n}
		return reconciler.Put(n.Key), nil
	}
	// It stays with or without a lease, as it was registered first: the framework
	// merges the dynamic=false of a rule, which is about the rule, into the provider.
	n.Key.Persistent = s.now.Key.Persistent
	old := s.now.Key
	s.now = *n
	return reconciler.Replace(old, n.Key), nil // if it is the same key, nothing is written
}

// postpone is put of what is written later, if it may be.
func (r *Registrations) postpone(n Registration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	reconciler, err := r.useLocked()
	if err != nil || r.closing {
		return false
	}
	s, old := r.slots[n.Slot], (*Key)(nil)
	if s != nil {
		old = &s.now.Key
	}
	if !reconciler.Postpone(old, n.Key) {
		return false
	}
	r.slots[n.Slot] = &slot{now: n, accepted: &n, postponed: true}
	return true
}

// accept notes that the caller was told of no error.
func (r *Registrations) accept(n Registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[n.Slot]; s != nil && s.now.Key == n.Key {
		s.accepted = &n
	}
}

// undo restores what was accepted last, unless the slot was taken by another key
// meanwhile.
func (r *Registrations) undo(n Registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[n.Slot]
	switch {
	case s == nil || s.now.Key != n.Key:
	case s.accepted != nil:
		s.now = *s.accepted
		r.reconciler.Replace(n.Key, s.now.Key)
	default:
		delete(r.slots, n.Slot)
		r.reconciler.Delete(n.Key)
	}
}

// Slots returns the names of all slots that hold a key.
func (r *Registrations) Slots() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.slots))
}

// Holds reports whether a key is in its slot.
func (r *Registrations) Holds(n Registration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holdsLocked(n)
}

func (r *Registrations) holdsLocked(n Registration) bool {
	s := r.slots[n.Slot]
	return s != nil && s.now.Key.Name == n.Key.Name
}

// Unregister takes a key out of its slot, if it is still there, and deletes it. It
// waits for etcd as Register does; if etcd is away the key is deleted when it is
// back, or goes with the lease.
func (r *Registrations) Unregister(n Registration) error {
	change := r.remove(n)
	if change == nil {
		return nil
	}
	err := r.wait(change)
	if err != nil && r.passes(n, err) {
		logger.Warnf("[etcdv3] %s is still registered, it will not be as soon as etcd at %v takes that: %v", n.Name, r.cfg.Endpoints, err)
		return nil
	}
	return err
}

// Forget is Unregister of what nobody waits for.
func (r *Registrations) Forget(n Registration) { r.remove(n) }

func (r *Registrations) remove(n Registration) *Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.holdsLocked(n) {
		return nil
	}
	key := r.slots[n.Slot].now.Key
	delete(r.slots, n.Slot)
	return r.reconciler.Delete(key)
}

// Flush has what was registered later written, and waits for that until the
// timeout, or Close. If etcd is away it goes on as Register does.
func (r *Registrations) Flush() error { return r.flush(r.passes) }

func (r *Registrations) flush(passes func(Registration, error) bool) error {
	reconciler, waiting := r.hurry()
	if len(waiting) == 0 {
		return nil
	}
	ctx, cancel := reconciler.cfg.Waiting(r.cfg.Timeout)
	defer cancel()
	var failed, away []error
	for s, change := range waiting {
		err := r.waitUntil(ctx, change)
		for errors.Is(err, ErrConflict) {
			err = r.waitUntil(ctx, reconciler.Await(r.keyOf(s))) // it is tried again anyway
		}
		switch n := r.written(s, err); {
		case err == nil, r.ctx.Err() != nil: // it ends, and Close has said what it could not write
		case passes(n, err):
			away = append(away, err)
		default:
			failed = append(failed, fmt.Errorf("register %s in etcd at %v: %w", n.Name, r.cfg.Endpoints, err))
		}
	}
	if len(away) > 0 {
		logger.Warnf("[etcdv3] etcd at %v does not answer, %d mapping(s) and metadata are written as soon as it does: %v", r.cfg.Endpoints, len(away), away[0])
	}
	if len(failed) > 1 {
		return fmt.Errorf("%w (and %d more)", failed[0], len(failed)-1)
	}
	return errors.Join(failed...)
}

// hurry starts to write what was postponed, that included which was refused.
func (r *Registrations) hurry() (*Reconciler, map[*slot]*Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := map[*slot]*Change{}
	for _, s := range r.slots {
		if s.postponed {
			waiting[s] = r.reconciler.Await(s.now.Key)
		}
	}
	return r.reconciler, waiting
}

func (r *Registrations) keyOf(s *slot) Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.now.Key
}

// written notes what became of what was postponed, and returns what that is.
func (r *Registrations) written(s *slot, err error) Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.postponed = s.postponed && err != nil
	return s.now
}

// Close writes what was postponed, and then gives up all keys but for those that
// outlive the process. It waits for etcd until the timeout, or ctx ends. Only the
// first call does something.
func (r *Registrations) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	err := r.flush(func(Registration, error) bool { return false })
	var changes []*Change
	r.mu.Lock()
	r.cancel()
	for _, s := range r.slots {
		if !s.now.Key.Persistent {
			changes = append(changes, r.reconciler.Delete(s.now.Key))
		}
	}
	r.slots, r.closed = nil, true
	r.mu.Unlock()
	for _, change := range changes {
		err = errors.Join(err, change.Wait(ctx))
	}
	return err
}
