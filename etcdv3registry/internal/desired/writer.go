// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// lingering is how long postponed keys are left unwritten if nobody asks for
	// them: long enough for a process to export its services, as nobody waits.
	lingering = time.Second
	// resyncSpread is the time over which processes that lost etcd together spread
	// their questions when it is back. Those with a lease ask as they keep it.
	resyncSpread = 500 * time.Millisecond
	// comingBack is how soon one attempt may follow another as etcd seems to be back, and
	// the time over which processes spread theirs. Their connections are spread already.
	comingBack = 100 * time.Millisecond
)

// writer is what the goroutine that writes to etcd knows. Nobody else touches
// it while that goroutine runs, but for what is read under Reconciler.mu.
type writer struct {
	lease     clientv3.LeaseID // 0: none
	keepAlive <-chan *clientv3.LeaseKeepAliveResponse
	endLease  context.CancelFunc // ends the keep-alives of lease
	unsure    bool               // lease was not kept alive in time: etcd may have it, or not
	parents   map[string]int64   // that existed, and at which revision: they are required, not created
	lost      int                // keys that were not there as they should be, and are being put again; 0: none
	restored  int                // keys of whose change by others was heard and that are there again, of which nothing was said yet
	noLease   bool               // etcd refuses one, and that was told
	notLetIn  bool               // etcd refuses this user, and that was told
	granted   time.Time          // when the last one was
	brief     int                // leases in a row that were lost at once
	futile    int                // attempts in a row that were to be followed by another at once
	verified  verification
	merging   map[string]*merging // by name

	away     repeated         // etcd
	refused  repeated         // some of what is desired
	refusing bool             // etcd has refused something; else there are no refusals to count
	doubt    <-chan time.Time // when it is looked whether what has no lease is there
	losses   <-chan time.Time // when what somebody has deleted is put again
	tried    time.Time        // the last attempt to write
}

func newWriter(r *Reconciler) writer {
	return writer{
		parents: map[string]int64{}, merging: map[string]*merging{},
		away: repeated{schedule: r.backoff}, refused: repeated{schedule: refusals},
	}
}

// repeated is when something is tried again that does not work.
type repeated struct {
	schedule func() backoff.BackOff
	running  backoff.BackOff  // nil: it works
	due      <-chan time.Time // nil: it works, or is about to be tried
}

// fails plans the next attempt, unless there is one, and reports whether it
// worked before.
func (r *repeated) fails() (first bool) {
	first = r.running == nil
	if first {
		r.running = r.schedule()
	}
	if r.due == nil {
		r.due = time.After(r.running.NextBackOff())
	}
	return first
}

// works reports whether it did not before.
func (r *repeated) works() (again bool) {
	again = r.running != nil
	r.running, r.due = nil, nil
	return again
}

// refusals is the schedule for what etcd refuses: somebody has to change
// something there, and nothing tells when. With its jitter it is at most half a
// minute.
func refusals() backoff.BackOff { return retry.Backoff(time.Second, 20*time.Second).BackOff() }

// run is the goroutine: it ends with Close.
func (r *Reconciler) run() {
	defer close(r.done)
	defer r.watches.wait()
	w := &r.writer
	for r.next() {
		w.tried = time.Now()
		err := r.verifyLease()
		if err == nil {
			err = r.verifyUnleased()
		}
		if err == nil {
			err = r.flush()
		} else {
			r.note(err)
		}
		switch {
		case r.ctx.Err() != nil:
			return
		case err != nil:
			clear(w.merging) // it may be another store next time
			if w.away.fails() {
				logger.Warnf("[etcdv3] etcd does not take changes, %d key(s) wait and are retried in the background: %v", r.waiting(), err)
			}
			continue
		case w.away.works():
			r.logState("etcd takes changes again")
		}
		if r.refusals() > 0 {
			w.refused.fails()
		} else if w.refused.works() {
			r.logState("etcd refuses nothing any more")
		}
	}
}

// next waits until something is to be done; it returns false after Close.
func (r *Reconciler) next() bool {
	w := &r.writer
	for {
		wake := r.wake
		if w.away.running != nil {
			wake = nil // only the schedule counts
		}
		select {
		case <-r.ctx.Done():
			return false
		case response, ok := <-w.keepAlive:
			switch {
			case ok:
				r.record.alive()
				r.verify(response)
			case r.ctx.Err() != nil: // by Close, which is to revoke the lease
				return false
			default:
				r.doubtLease()
			}
		case <-w.away.due:
			w.away.due = nil
			return true
		case <-w.refused.due:
			w.refused.due = nil
			if w.away.running == nil { // else everything is tried when it is back
				r.retryRefused()
			}
		case <-r.back:
			if w.away.running != nil {
				w.away.due = time.After(max(rand.N(comingBack), time.Until(w.tried.Add(comingBack))))
			}
			continue
		case <-r.losses:
			if w.losses == nil {
				w.losses = time.After(collecting)
			}
			continue
		case <-w.losses:
			w.losses = nil
			r.queueLost()
		case <-r.denied:
			r.leaseLost("etcd does not keep it alive: this user may not write one of its keys")
		case <-r.doubt:
			if w.doubt == nil {
				w.doubt = time.After(rand.N(resyncSpread))
			}
			continue
		case <-w.doubt:
			w.doubt = nil
		case <-wake:
			return true
		}
		if w.away.running == nil {
			return true
		}
	}
}

// logState says what has become of all keys.
func (r *Reconciler) logState(why string) {
	if n := r.refusals(); n > 0 {
		logger.Warnf("[etcdv3] %s, but it refuses %d of %d key(s), which are tried again", why, n, r.Len())
		return
	}
	logger.Infof("[etcdv3] %s, all %d key(s) are registered%s", why, r.Len(), r.underLease())
}

// underLease names the lease in the log, if there is one.
func (r *Reconciler) underLease() string {
	if r.writer.lease == clientv3.NoLease {
		return ""
	}
	return fmt.Sprintf(" under lease %x", r.writer.lease)
}

// refusals is how many keys etcd has refused of which it does not agree.
func (r *Reconciler) refusals() int {
	if !r.writer.refusing {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.countLocked(func(e *entry) bool { return e.refused && !e.inSync() })
	r.writer.refusing = n > 0
	return n
}

func (r *Reconciler) retryRefused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueueUnsyncedLocked()
}

// flush writes what is queued. It returns nil when nothing is left, or what was
// refused has been reported; an error that can pass when etcd is away.
func (r *Reconciler) flush() error {
	w := &r.writer
	for {
		err := retry.Do(r.ctx, r.cfg.Retry, func(ctx context.Context) error {
			err := r.writeBatch(ctx)
			r.setTrouble(err)
			return err
		})
		more := r.setAway(err)
		switch {
		case err != nil:
			return err
		case more:
			continue
		}
		if n := w.restored; n > 0 {
			w.restored = 0
			r.record.resynced(reasonKeysDeleted)
			logger.Warnf("[etcdv3] %d key(s) of this process were deleted or overwritten in etcd by somebody else, and are registered again%s", n, r.underLease())
		}
		if w.lost > 0 && r.refusals() == 0 {
			logger.Infof("[etcdv3] %d key(s) that had been lost are registered again%s", w.lost, r.underLease())
			w.lost = 0
		}
		return nil
	}
}

// note notes that etcd is away, as it has not answered a question.
func (r *Reconciler) note(err error) {
	r.setTrouble(err)
	r.setAway(err)
}

// setTrouble notes how the last attempt to write, or the last question, ended.
func (r *Reconciler) setTrouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = err
}

// setAway notes whether etcd takes changes, tells those who wait when it does
// not, and reports whether there is something queued.
func (r *Reconciler) setAway(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = err
	if err != nil {
		for _, e := range r.entries {
			e.tellLocked(err)
			r.enqueueLocked(e)
		}
	}
	return len(r.queue)+len(r.merges)+len(r.missing) > 0
}

func (r *Reconciler) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) + len(r.merges)
}
