// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/limits"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// defaultPageSize keeps a page of a listing at a few megabytes: the key of a
// provider is 500 bytes or so.
const defaultPageSize = 5000

// Config is what a Hub needs.
type Config struct {
	// Dial returns the client; it may block until there is one. Its connection needs
	// the hub's StreamInterceptor, or whoever calls Check.
	Dial func(context.Context) (*clientv3.Client, error)
	// Timeout of one request; zero means 5 s.
	Timeout time.Duration
	// Session is how long the keys of another store are left, after etcd was
	// emptied or restored, until their owners have had time to put them again.
	Session time.Duration
	// PageSize is the number of keys in one page of a listing; zero means 5000.
	PageSize int64
	// MaxKeys and MaxBytes, of keys and values, are how much is mirrored of one
	// prefix: what is beyond that is left out, and an error in the log. Zero means
	// 1,000,000 keys and 512 MiB.
	MaxKeys  int
	MaxBytes int64
	// Limits of etcd, which those who share them learn together. Nil: its own.
	Limits *limits.Limits
	// Backoff spaces the attempts to list and to watch while etcd is away. Nil
	// means from 200 ms to 5 s.
	Backoff retry.Policy
	// Lag, unless nil, is called when a reader has told what came over a watch, with
	// how long ago the first of it had been received. It must not block.
	Lag func(time.Duration)
}

func (c *Config) exceeded(keys int, bytes int64) bool {
	return keys > c.MaxKeys || bytes > c.MaxBytes
}

// Hub shares the watches of one client. Its methods may be called from any
// goroutine.
type Hub struct {
	cfg       Config
	retention atomic.Int64    // Config.Session
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup // mirrors, and readers of feeds
	resting   resting        // mirrors
	counts    tallies

	mu       sync.Mutex // guards what follows
	mirrors  map[mirrored]*mirror
	failing  map[*mirror]trouble // those that do not follow etcd
	watching *stream             // that watches are created on
	checking bool                // a Check is under way
	next     [][]fingerprint     // what those after it are to compare
	retried  chan struct{}       // closed by Retry, and made anew
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
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = 1_000_000
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 512 << 20
	}
	if cfg.Limits == nil {
		cfg.Limits = &limits.Limits{}
	}
	if cfg.Backoff == nil {
		cfg.Backoff = retry.Backoff(200*time.Millisecond, 5*time.Second)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{cfg: cfg, ctx: ctx, cancel: cancel, retried: make(chan struct{}), mirrors: map[mirrored]*mirror{}, failing: map[*mirror]trouble{}, watching: newStream(ctx, 0)}
	h.resting.hub, h.resting.after = h, restAfter
	h.SetSession(cfg.Session)
	return h
}

// SetSession replaces Config.Session.
func (h *Hub) SetSession(session time.Duration) { h.retention.Store(int64(session)) }

func (h *Hub) session() time.Duration { return time.Duration(h.retention.Load()) }

// Open returns a feed of the keys that begin with one of the prefixes, none of
// which begins with another. The first feed of a prefix starts a watch, the last
// one to be closed ends it. Prefixes that nobody has a feed of are first read at
// one revision, and begin with it. After Close of the hub a feed stays empty.
func (h *Hub) Open(prefixes ...string) *Feed { return h.open(prefixes, false) }

// OpenKeys is Open for readers to whom the keys say all: their values are neither
// asked for nor kept, of whatever size they are.
func (h *Hub) OpenKeys(prefixes ...string) *Feed { return h.open(prefixes, true) }

func (h *Hub) open(prefixes []string, keysOnly bool) *Feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithCancel(h.ctx)
	f := &Feed{hub: h, ctx: ctx, cancel: cancel, changed: make(chan struct{}, 1)}
	together := newSnapshot()
	var created []*mirror
	for _, prefix := range prefixes {
		what := mirrored{prefix, keysOnly}
		m := h.mirrors[what]
		if m == nil {
			m = newMirror(h, what, together)
			h.mirrors[what] = m
			together.pending.Add(1)
			created = append(created, m)
		}
		m.users++
		f.views = append(f.views, m.open(f))
	}
	for _, m := range created {
		h.goLocked(m.run)
	}
	f.signal() // if all of it is known
	return f
}

// release undoes Open.
func (h *Hub) release(f *Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range f.views {
		m := h.mirrors[v.store.mirrored]
		if m.users--; m.users == 0 {
			delete(h.mirrors, m.mirrored)
			m.cancel()
		}
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
	if h.ctx.Err() == nil {
		h.running.Go(f)
	}
}

// hold has Close wait until release is called, unless ctx, which is of the hub, has
// ended.
func (h *Hub) hold(ctx context.Context) (release func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return nil, false
	}
	h.running.Add(1)
	return h.running.Done, true
}

// Retry has what waits for an etcd that is away tried at once: it may be back.
func (h *Hub) Retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.retried)
	h.retried = make(chan struct{})
}

// back returns what Retry closes.
func (h *Hub) back() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.retried
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
