// SPDX-License-Identifier: Apache-2.0

// Package etcdfake is an etcd for the tests of this module: a store in memory
// behind etcd's own client, which sends its requests to it instead of to a
// server. With testing/synctest its leases run out without anybody waiting, and
// what an etcd does wrong (being away, refusing, forgetting) is a field.
//
// It follows https://etcd.io/docs/v3.6/learning/api/ as far as this module uses
// that. What real servers do is tested against real servers.
package etcdfake

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrAway is what the client says of an etcd that cannot be reached.
var ErrAway = status.Error(codes.Unavailable, "connection error: desc = \"transport: Error while dialing: connect: connection refused\"")

// Etcd is one server. Its methods may be called from any goroutine.
type Etcd struct {
	// Fail, unless nil, is asked before each request, by the method's name
	// ("Range", "Txn", "LeaseGrant") and the keys it is about; what it returns, if
	// anything, is the answer. It is also asked for each "LeaseKeepAlive", and for
	// the creation of each watch ("Watch"). Set it with Set.
	Fail func(method string, keys []string) error
	// Hold, unless nil, is waited for by each request, by its caller's context
	// too, before it is answered: an etcd that stands still. Set it with Set.
	Hold <-chan struct{}
	// Lose, unless nil, is asked when what is asked for has been done, by the method's
	// name ("Txn", "LeaseGrant", "LeaseRevoke"); what it returns, if anything, is the
	// answer. Set it with Set.
	Lose func(method string) error
	// Late, unless nil, is for how long a "Txn" stays under way before it is done, even
	// if whoever asked for it has given up: others may be done before it. Set it with
	// Set.
	Late func() time.Duration
	// Delay, unless nil, is how long the answer to a "Range" of so many keys takes.
	Delay func(keys int) time.Duration
	// MaxOps is --max-txn-ops; 0: 128.
	MaxOps int
	// MaxBytes is --max-request-bytes; 0: 1.5 MiB.
	MaxBytes int

	mu        sync.Mutex // guards all above and below
	requests  map[string]int
	revision  int64
	compacted int64
	keys      map[string]*mvccpb.KeyValue
	history   []*mvccpb.Event
	leases    map[int64]*lease
	granted   int64
	watches   map[*watch]struct{}
	away      bool
	alives    map[*aliveStream]struct{}
	streams   map[*WatchStream]context.CancelFunc
}

// New returns an empty server.
func New() *Etcd {
	return &Etcd{
		revision: 1,
		requests: map[string]int{},
		keys:     map[string]*mvccpb.KeyValue{},
		leases:   map[int64]*lease{},
		watches:  map[*watch]struct{}{},
		alives:   map[*aliveStream]struct{}{},
		streams:  map[*WatchStream]context.CancelFunc{},
	}
}

// Client returns a client of the server, which ends with the test.
func (e *Etcd) Client(t testing.TB) *clientv3.Client {
	c := clientv3.NewCtxClient(clientv3.WithRequireLeader(context.Background()))
	c.KV = clientv3.NewKVFromKVClient(kv{e}, c)
	c.Lease = clientv3.NewLeaseFromLeaseClient(leases{e}, c, 5*time.Second)
	c.Watcher = watches{e}
	t.Cleanup(func() { _ = c.Lease.Close() })
	return c
}

// Dial returns a function that returns one client of the server.
func (e *Etcd) Dial(t testing.TB) func(context.Context) (*clientv3.Client, error) {
	c := e.Client(t)
	return func(context.Context) (*clientv3.Client, error) { return c, nil }
}

// Set changes the server while nobody is being answered.
func (e *Etcd) Set(change func(*Etcd)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

// Away has every request fail as if the server could not be reached, the
// keep-alives broken and the watches silent, until it is called with false.
func (e *Etcd) Away(away bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Fail, e.away = nil, away
	if away {
		e.Fail = func(string, []string) error { return ErrAway }
		e.breakLocked()
	} else {
		e.publishLocked()
	}
}

// Stop is Away(true), and no lease runs out before Start.
func (e *Etcd) Stop() {
	e.Away(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.leases {
		l.timer.Stop()
	}
}

// Start is Away(false) after Stop. As on a server that was started again, each lease
// has the whole of its TTL.
func (e *Etcd) Start() {
	e.mu.Lock()
	for _, l := range e.leases {
		l.ends = time.Now().Add(l.ttl)
		l.timer.Reset(l.ttl)
	}
	e.mu.Unlock()
	e.Away(false)
}

// Wipe empties the store, which counts its revisions from the first one again. A
// watch goes on waiting for the revision after the last that it has heard of.
func (e *Etcd) Wipe() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revision, e.compacted, e.history = 1, 0, nil
	clear(e.keys)
	for id, l := range e.leases {
		l.timer.Stop()
		delete(e.leases, id)
	}
	e.breakLocked()
}

// Compact has the server forget what was before its revision.
func (e *Etcd) Compact() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.compacted = e.revision
}

// Revision is the one that the store is at.
func (e *Etcd) Revision() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revision
}

func (e *Etcd) breakLocked() {
	e.resumeLocked()
	for s := range e.alives {
		s.fail(ErrAway)
	}
	for s, cancel := range e.streams {
		s.fail(ErrAway)
		cancel()
	}
}

// Requests returns how many requests of a method came since it was asked last.
func (e *Etcd) Requests(method string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.requests[method]
	delete(e.requests, method)
	return n
}

// Keys returns the keys under a prefix and their values.
func (e *Etcd) Keys(prefix string) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := map[string]string{}
	for key, kv := range e.keys {
		if strings.HasPrefix(key, prefix) {
			found[key] = string(kv.Value)
		}
	}
	return found
}

// Lease returns the lease of a key; 0 if it has none.
func (e *Etcd) Lease(key string) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keyLocked(key).Lease
}

// Put is that of somebody else.
func (e *Etcd) Put(key, value string) { e.PutUnder(key, value, 0) }

// PutUnder is Put, under a lease.
func (e *Etcd) PutUnder(key, value string, lease int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revision++
	e.putLocked(&etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value), Lease: lease})
	e.publishLocked()
}

// PutSilently is Put, but watches hear of it with what happens next.
func (e *Etcd) PutSilently(key, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revision++
	e.putLocked(&etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)})
}

// Delete is that of somebody else, of several keys in one revision.
func (e *Etcd) Delete(keys ...string) { e.Commit(nil, keys...) }

// Commit is a transaction of somebody else, in which no key may stand twice.
func (e *Etcd) Commit(puts map[string]string, deletes ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.history)
	e.revision++
	for key, value := range puts {
		e.putLocked(&etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)})
	}
	for _, key := range deletes {
		e.deleteLocked(key)
	}
	if len(e.history) == before { // as of a transaction that changes nothing
		e.revision--
	}
	e.publishLocked()
}

// Expire ends all leases at once.
func (e *Etcd) Expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range slices.Collect(maps.Keys(e.leases)) {
		e.endLeaseLocked(id)
	}
}

// Watches returns how many watches the server has.
func (e *Etcd) Watches() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.watches)
}

// begin counts a request, and returns what is the matter with it.
func (e *Etcd) begin(ctx context.Context, method string, keys ...string) error {
	e.mu.Lock()
	e.requests[method]++
	hold := e.Hold
	e.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	e.mu.Lock()
	fail := e.Fail
	e.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(method, keys)
}

// answerLocked is the answer to what has been done, if it is not lost.
func answerLocked[R any](e *Etcd, method string, answer R, err error) (R, error) {
	if err == nil && e.Lose != nil {
		err = e.Lose(method)
	}
	if err != nil {
		var none R
		return none, err
	}
	return answer, nil
}

// underWay has a request done, by do, when it has been under way for as long as Late says.
func underWay[R any](ctx context.Context, e *Etcd, do func() (R, error)) (R, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Late == nil {
		return do()
	}
	type outcome struct {
		answer R
		err    error
	}
	done := make(chan outcome, 1)
	time.AfterFunc(e.Late(), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		answer, err := do()
		done <- outcome{answer, err}
	})
	e.mu.Unlock()
	defer e.mu.Lock()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		var none R
		return none, status.FromContextError(ctx.Err()).Err()
	}
}

// keyLocked returns a key; one without any revision if there is none.
func (e *Etcd) keyLocked(key string) *mvccpb.KeyValue {
	if kv := e.keys[key]; kv != nil {
		return kv
	}
	return &mvccpb.KeyValue{}
}

func (e *Etcd) headerLocked() *etcdserverpb.ResponseHeader {
	return &etcdserverpb.ResponseHeader{ClusterId: 1, MemberId: 1, RaftTerm: 1, Revision: e.revision}
}
