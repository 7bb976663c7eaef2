// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// checkSpread is the time over which processes that lost etcd together spread
	// their questions when it is back.
	checkSpread = 500 * time.Millisecond
	// What etcd refuses after it had taken it once, and what others are always
	// quicker at, is tried again after these.
	refusedInterval  = 30 * time.Second
	conflictInterval = time.Second
)

// keeper fulfils wishes, and looks whether they still are when etcd may be
// another store than before. One goroutine, which the first wish starts, does
// all of the writing.
type keeper struct {
	user    *cluster.User
	timeout time.Duration
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // there is an unfulfilled wish
	again   chan struct{} // etcd is back, and may be another store

	mu      sync.Mutex // guards what follows
	wishes  map[string]*wish
	started bool
	trouble error  // what the last attempt failed with; nil: it worked
	undo    func() // of cluster.OnDoubt
}

func newKeeper(user *cluster.User, timeout time.Duration) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	return &keeper{
		user: user, timeout: timeout, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1),
		wishes: map[string]*wish{},
	}
}

// keep has a wish fulfilled, and waits for that until the timeout. After an
// error of which goOn says so it returns nil, and the wish is fulfilled later;
// after another one the wish is forgotten.
func (k *keeper) keep(w *wish, goOn func(error) bool, what string) error {
	c, err := k.user.Get()
	if err != nil {
		return err
	}
	ctx, cancel := c.Waiting(k.timeout)
	defer cancel()
	settled := k.want(c, w)
	select {
	case err = <-settled:
	case <-ctx.Done():
		err = k.because(ctx.Err())
		k.leave(w.id(), settled)
	case <-k.ctx.Done():
		return cluster.ErrClosed
	}
	switch {
	case err == nil:
		return nil
	case goOn(err):
		logger.Warnf("[etcdv3] %s: etcd does not answer, this is done as soon as it does: %v", what, err)
		return nil
	default:
		k.forget(w)
		return err
	}
}

// want notes a wish and starts to fulfil it.
func (k *keeper) want(c *cluster.Cluster, w *wish) (settled chan error) {
	waiter := make(chan error, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	w.waiters = append(w.waiters, waiter)
	if old := k.wishes[w.id()]; old != nil {
		w.waiters = append(w.waiters, old.waiters...)
		old.waiters = nil
	}
	k.wishes[w.id()] = w
	if !k.started && k.ctx.Err() == nil {
		k.started = true
		k.undo = c.OnDoubt(func() { signal(k.again) })
		k.running.Go(func() { k.run(c) })
	}
	signal(k.wake)
	return waiter
}

func (k *keeper) forget(w *wish) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wishes[w.id()] == w {
		delete(k.wishes, w.id())
	}
}

// leave takes back that somebody waits: with nobody waiting the log is told.
func (k *keeper) leave(id string, settled chan error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.wishes[id]; w != nil {
		w.waiters = slices.DeleteFunc(w.waiters, func(c chan error) bool { return c == settled })
	}
}

// because adds to the end of a wait what the last attempt failed with.
func (k *keeper) because(ended error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trouble == nil {
		return ended
	}
	return fmt.Errorf("%w, the last attempt: %w", ended, k.trouble)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run ends with close.
func (k *keeper) run(c *cluster.Cluster) {
	var (
		schedule backoff.BackOff  // while etcd is away
		next     <-chan time.Time // when to try again
		check    <-chan time.Time // when to look whether all is there
	)
	for {
		wake := k.wake
		if schedule != nil {
			wake = nil // only the schedule counts
		}
		select {
		case <-k.ctx.Done():
			return
		case <-k.again:
			check = time.After(rand.N(checkSpread))
			continue
		case <-check:
			check = nil
			k.doubt()
		case <-next:
		case <-wake:
		}
		later, err := k.fulfil(c)
		switch {
		case k.ctx.Err() != nil:
			return
		case err != nil && schedule == nil:
			schedule = retry.Backoff(200*time.Millisecond, 5*time.Second).BackOff()
			logger.Warnf("[etcdv3] etcd does not take mappings and metadata, they are retried in the background: %v", err)
		case err == nil && schedule != nil:
			schedule = nil
			logger.Infof("[etcdv3] etcd takes mappings and metadata again")
		}
		next = nil
		switch {
		case err != nil:
			next = time.After(schedule.NextBackOff())
		case later > 0:
			next = time.After(later)
		}
	}
}

// doubt has all wishes looked at again.
func (k *keeper) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.wishes {
		w.fulfilled = false
	}
}

// fulfil fulfils what is not. It returns an error that can pass, after which
// the rest is left, or, if etcd did not take all, after which time to try again.
func (k *keeper) fulfil(c *cluster.Cluster) (later time.Duration, err error) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.trouble = err
	}()
	for wishes := range slices.Chunk(k.unfulfilled(), readAtOnce) {
		found, err := k.read(c, wishes)
		if err != nil {
			return 0, err
		}
		for _, w := range wishes {
			err := k.write(c, w, found[w.key])
			delete(found, w.key) // another wish may be of the same key
			switch {
			case err == nil:
				k.settle(w)
			case k.ctx.Err() != nil:
				return 0, err
			case errors.Is(err, report.ErrMappingCASConflict):
				later = conflictInterval
				k.refuse(w, err)
			case retry.CanPass(err):
				return 0, err
			default:
				later = cmp.Or(later, refusedInterval)
				k.refuse(w, err)
			}
		}
	}
	return later, nil
}

func (k *keeper) unfulfilled() []*wish {
	k.mu.Lock()
	defer k.mu.Unlock()
	var wishes []*wish
	for _, w := range k.wishes {
		if !w.fulfilled {
			wishes = append(wishes, w)
		}
	}
	return wishes
}

func (k *keeper) settle(w *wish) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.settleLocked(nil)
	if w.gone && k.wishes[w.id()] == w {
		delete(k.wishes, w.id()) // there is nothing to keep
	}
}

// refuse tells those who wait, who then forget the wish, or else the log.
func (k *keeper) refuse(w *wish, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(w.waiters) == 0 && !w.refused {
		w.refused = true
		logger.Errorf("[etcdv3] etcd does not take %s, it is tried again from time to time: %v", w.key, err)
	}
	w.settleLocked(err)
}

func (k *keeper) close() {
	k.mu.Lock() // either want sees that it is closed, or it is waited for
	k.cancel()
	k.mu.Unlock()
	k.running.Wait()
	k.mu.Lock()
	undo := k.undo
	k.mu.Unlock()
	if undo != nil {
		undo()
	}
}
