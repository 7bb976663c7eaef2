// SPDX-License-Identifier: Apache-2.0

// Package cluster is one etcd cluster as this process uses it: one connection,
// one lease and two streams of watches, shared by everybody who names the same
// endpoints and credentials, and closed by the last of them.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/limits"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Cluster is a shared use of an etcd cluster. It is made by Acquire.
type Cluster struct {
	// Desired keeps the keys that this process wants in etcd.
	Desired *desired.Reconciler
	// Watches shares the watches of this process.
	Watches *listener.Hub

	cfg    Config
	ctx    context.Context // ends when the last user has left
	cancel context.CancelFunc

	users   int           // guarded by table.mu
	session time.Duration // zero while no user has asked for one; guarded by table.mu
	tracing bool          // a user has asked for it; guarded by table.mu
	settled bool          // the connection is made, or has been begun; guarded by table.mu

	client   atomic.Pointer[clientv3.Client]
	dialing  chan struct{} // held by the one who connects
	observer observer
	link     link
	report   report
	limits   limits.Limits
	members  *members       // nil: only the configured endpoints are used
	running  sync.WaitGroup // the monitor, and who follows the members

	overrides callbacks[func(before []string)]
	preparing callbacks[func() error]
}

// table holds the clusters in use.
var table = struct {
	mu        sync.Mutex
	byID      map[id]*Cluster       // that the next user joins
	used      map[*Cluster]struct{} // those, and those that nobody joins any more
	announced map[id]bool           // false: it has been prepared for; also of clusters not in use yet
}{byID: map[id]*Cluster{}, used: map[*Cluster]struct{}{}, announced: map[id]bool{}}

// Acquire returns the process's use of the cluster that cfg names. It does no
// I/O: the connection is made by the first request. Each Acquire is undone by
// one Release.
func Acquire(cfg Config) *Cluster {
	table.mu.Lock()
	defer table.mu.Unlock()
	c := table.byID[cfg.id()]
	if c == nil {
		c = newCluster(cfg)
		table.byID[cfg.id()] = c
		table.used[c] = struct{}{}
		c.reportLocked()
	}
	c.agreeLocked(cfg.Session)
	c.traceLocked(cfg.Tracing)
	c.users++
	return c
}

// agreeLocked settles the TTL of the lease that all share: the first user that
// asks for one gets it.
func (c *Cluster) agreeLocked(session time.Duration) {
	switch {
	case session == 0 || session == c.session:
	case c.session == 0:
		c.session = session
		c.Desired.SetTTL(session)
		c.Watches.SetSession(session)
	default:
		logger.Warnf("[etcdv3] session=%v is not used: this process already has a lease of %v on the same etcd, and one is shared by all", session, c.session)
	}
}

// traceLocked notes whether the requests are to be traced: it is decided with the
// connection, so that it costs nothing where it is not wanted.
func (c *Cluster) traceLocked(wanted bool) {
	switch {
	case !wanted || c.tracing:
	case c.settled:
		logger.Warnf("[etcdv3] requests.trace=true is not used: this process is already connected to the same etcd without it, for a configuration center or another registry that does not have it")
	default:
		c.tracing = true
	}
}

// unsettle notes that there is no connection yet, after all.
func (c *Cluster) unsettle() {
	table.mu.Lock()
	defer table.mu.Unlock()
	c.settled = false
}

// agreed is the configuration to connect with, with what all share.
func (c *Cluster) agreed() Config {
	table.mu.Lock()
	defer table.mu.Unlock()
	cfg := c.cfg
	cfg.Session, cfg.Tracing = cmp.Or(c.session, DefaultSession), c.tracing
	c.settled = true
	return cfg
}

func newCluster(cfg Config) *Cluster {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Cluster{cfg: cfg, ctx: ctx, cancel: cancel, dialing: make(chan struct{}, 1)}
	c.report.set = c.labels()
	if cfg.SyncEndpoints {
		c.members = newMembers(cfg)
	}
	c.Desired = desired.New(desired.Config{
		Dial: c.Client, TTL: DefaultSession, Timeout: cfg.Timeout, Retry: cfg.Retry, Waiting: c.Waiting, Limits: &c.limits,
		OpenWatches: openWatches,
	})
	c.Watches = listener.NewHub(listener.Config{Dial: c.Client, Timeout: cfg.Timeout, Session: DefaultSession, Limits: &c.limits, Lag: c.lag})
	c.observer.watching = func() {
		// A stream may go over a new connection, and behind it there may be another
		// store than what was listed is from: wiped, or restored from a backup.
		c.Watches.Check()
		c.back()
	}
	c.observer.keeping = c.back
	c.observer.denied = c.Desired.LeaveLease
	return c
}

// back is called when etcd seems to answer again.
func (c *Cluster) back() {
	c.Desired.Resync()
	c.retry()
}

// retry has what waits for etcd tried at once.
func (c *Cluster) retry() {
	c.Desired.Retry()
	c.Watches.Retry()
}

// connected is called when there is a connection, again if it is another one.
func (c *Cluster) connected(again bool) {
	if again {
		c.Desired.Resync()
	}
	c.retry()
}

// openWatches opens a stream of watches for what is desired.
func openWatches(ctx context.Context, client *clientv3.Client) (desired.WatchStream, error) {
	conn := client.ActiveConnection()
	if conn == nil {
		return nil, errors.New("the client has no connection")
	}
	// Opened as soon as there is a connection, and ended by a member without a leader.
	return etcdserverpb.NewWatchClient(conn).Watch(withOwn(clientv3.WithRequireLeader(ctx)), grpc.WaitForReady(true))
}

// Release undoes one Acquire. The last one gives up the lease, ends the
// watches and closes the connection, and waits for it until ctx ends.
func (c *Cluster) Release(ctx context.Context) error {
	table.mu.Lock()
	c.users--
	last := c.users == 0
	if last {
		delete(table.used, c)
		c.retireLocked()
	}
	table.mu.Unlock()
	if !last {
		return nil
	}
	if c.client.Load() == nil {
		c.cancel() // who connects at this moment need not
	}
	err := c.Desired.Close(ctx)
	c.Watches.Close()
	c.cancel()
	c.dialing <- struct{}{} // nobody connects any more
	c.running.Wait()
	if client := c.client.Load(); client != nil {
		_ = client.Close() // reports the end of the context it was given
	}
	return err
}

// Shutdown gives up the lease of every cluster in use, of all at once: the keys
// of this process are gone, while what watches goes on watching. It is for a
// process that is about to end; should it live on, who acquires a cluster
// afterwards gets another use of it, with a lease of its own.
func Shutdown(ctx context.Context) {
	var closing sync.WaitGroup
	for _, c := range retireAll() {
		closing.Go(func() {
			if err := c.Desired.Close(ctx); err != nil {
				logger.Warnf("[etcdv3] shut down at %v: %v", c.cfg.Endpoints, err)
			}
		})
	}
	closing.Wait()
}

// retireAll returns the clusters in use, and has nobody join them any more.
func retireAll() []*Cluster {
	table.mu.Lock()
	defer table.mu.Unlock()
	for c := range table.used {
		c.retireLocked()
	}
	return slices.Collect(maps.Keys(table.used))
}

// retireLocked has the next who acquires the cluster get another use of it.
func (c *Cluster) retireLocked() {
	if table.byID[c.cfg.id()] == c {
		delete(table.byID, c.cfg.id())
		delete(table.announced, c.cfg.id())
	}
}

// inUse returns the clusters that have users.
func inUse() []*Cluster {
	table.mu.Lock()
	defer table.mu.Unlock()
	return slices.Collect(maps.Keys(table.used))
}

// Waiting returns a context for a call of the framework that waits for etcd:
// it ends after timeout or, while etcd does not answer at all, that long after
// it stopped answering.
func (c *Cluster) Waiting(timeout time.Duration) (context.Context, context.CancelFunc) {
	deadline, reason := c.observer.deadline(timeout)
	if reason == nil {
		return context.WithDeadline(context.Background(), deadline)
	}
	// A call that comes later may not even try.
	reason = fmt.Errorf("etcd at %v does not answer: %w", c.cfg.Endpoints, reason)
	return context.WithDeadlineCause(context.Background(), deadline, reason)
}

// Ask sends a request, and again while etcd is away, by the policy or until ctx ends.
func (c *Cluster) Ask(ctx context.Context, p retry.Policy, request func(context.Context, *clientv3.Client) error) error {
	return retry.Do(ctx, p, func(ctx context.Context) error {
		client, err := c.Client(ctx)
		if err != nil {
			return err
		}
		return request(ctx, client)
	})
}

// Impatient is the policy of a request that somebody waits for as long as ctx lasts.
var Impatient = retry.Backoff(100*time.Millisecond, time.Second)

// Client returns the connected client, or connects. With a user name that
// waits for etcd to accept the credentials, at most for the timeout of the
// configuration; without one it does not wait.
func (c *Cluster) Client(ctx context.Context) (*clientv3.Client, error) {
	if c.cfg.Dial != nil {
		return c.cfg.Dial(ctx)
	}
	if client := c.client.Load(); client != nil {
		return client, nil
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-ctx.Done():
		return nil, retry.Ended(ctx)
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
	if client := c.client.Load(); client != nil {
		return client, nil
	}
	client, err := connect(c.ctx, c.agreed(), &c.observer, c.members)
	if err != nil {
		c.unsettle()
		c.observer.traffic.failed("Connect", err)
		return nil, fmt.Errorf("connect to etcd at %v%s: %w", c.cfg.Endpoints, c.cfg.asUser(), err)
	}
	c.client.Store(client)
	c.running.Go(func() { monitor(c.ctx, client.ActiveConnection(), c.cfg.Endpoints, &c.link, c.connected) })
	if c.cfg.TLS.Cert != "" {
		c.running.Go(func() { materialOf(c.cfg.TLS).follow(c.ctx) })
	}
	if c.members != nil {
		c.running.Go(func() { c.members.follow(c.ctx, client) })
	}
	return client, nil
}
