// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// defaultPageSize keeps a page of a listing at a few megabytes: the key of a
// provider is 500 bytes or so.
const defaultPageSize = 5000

// Config is what a Hub needs.
type Config struct {
	// Dial returns the client; it may block until there is one.
	Dial func(context.Context) (*clientv3.Client, error)
	// Timeout of one request; zero means 5 s.
	Timeout time.Duration
	// Session is how long the keys of another store are left, after etcd was
	// emptied or restored, until their owners have had time to put them again.
	Session time.Duration
	// PageSize is the number of keys in one page of a listing; zero means 5000.
	PageSize int64
	// Backoff spaces the attempts to list and to watch while etcd is away. Nil
	// means from 200 ms to 5 s.
	Backoff retry.Policy
}

// Hub shares the watches of one client. Its methods may be called from any
// goroutine.
type Hub struct {
	cfg     Config
	left    atomic.Int64    // Config.Session
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // mirrors and subscriptions

	mu       sync.Mutex         // guards what follows
	mirrors  map[string]*mirror // by name
	failing  map[*mirror]struct{}
	checking bool      // a Check is under way
	next     [][]known // what those after it are to compare
}

// NewHub makes a Hub. Nothing is sent, and no goroutine started, before the
// first Open.
func NewHub(cfg Config) *Hub {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.PageSize <= 0 {
		cfg.PageSize = defaultPageSize
	}
	if cfg.Backoff == nil {
		cfg.Backoff = retry.Backoff(200*time.Millisecond, 5*time.Second)
	}
	// Without a leader a member only falls silent: the watch is to fail instead,
	// and to go on at another member. The same context for all watches puts them
	// on one stream.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(context.Background()))
	h := &Hub{cfg: cfg, ctx: ctx, cancel: cancel, mirrors: map[string]*mirror{}, failing: map[*mirror]struct{}{}}
	h.SetSession(cfg.Session)
	return h
}

// SetSession replaces Config.Session.
func (h *Hub) SetSession(session time.Duration) { h.left.Store(int64(session)) }

func (h *Hub) session() time.Duration { return time.Duration(h.left.Load()) }

// Open returns a feed of the keys that begin with one of the prefixes, none of
// which begins with another. The first feed of the same prefixes starts a watch
// of each, the last one to be closed ends them. The keys of all are first read at
// one revision. After Close of the hub a feed stays empty.
func (h *Hub) Open(prefixes ...string) *Feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	created := newMirror(h, prefixes)
	m := h.mirrors[created.prefix]
	if m == nil {
		m = created
		h.mirrors[m.prefix] = m
		h.goLocked(m.run)
	} else {
		created.cancel()
	}
	m.users++
	return m.open()
}

func (h *Hub) release(m *mirror) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.users--; m.users == 0 {
		delete(h.mirrors, m.prefix)
		m.cancel()
	}
}

// goUntilClose runs f in a goroutine that Close waits for; f has to end with
// the context of the hub. After Close f is not run.
func (h *Hub) goUntilClose(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.goLocked(f)
}

func (h *Hub) goLocked(f func()) {
	if h.ctx.Err() != nil {
		return
	}
	h.running.Add(1)
	go func() {
		defer h.running.Done()
		f()
	}()
}

// Close ends all watches and deliveries and returns when their goroutines have
// ended, unless a listener calls it from inside a delivery.
func (h *Hub) Close() {
	h.mu.Lock()
	h.cancel()
	h.mu.Unlock()
	if !delivery.Inside() {
		h.running.Wait()
	}
}
