// SPDX-License-Identifier: Apache-2.0

package garbage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// Outcome is what became of a piece.
type Outcome string

// The outcomes.
const (
	Found    Outcome = "found"    // it would be deleted
	Deleted  Outcome = "deleted"  //
	Kept     Outcome = "kept"     // it is in use, or was written, since
	Restored Outcome = "restored" // who needs it came in the moment when it was deleted
	Left     Outcome = "left"     // it looks as if of no use, and is none of what is deleted
	Failed   Outcome = "failed"
)

// Options are how to collect.
type Options struct {
	Delete bool
	// Age is for how long something has to be of no use before it is deleted, as far
	// as this process has seen.
	Age time.Duration
	// Grace is for how long what was deleted is put back if somebody needs it: a
	// process reads a mapping before it registers its instance.
	Grace time.Duration
	// Elsewhere says that nothing is concluded from there being no instance at all: they
	// may be in another registry.
	Elsewhere bool
	Tell      func(o Outcome, p *Piece, note string)

	afterLook, beforeDelete func() // for tests
}

// ErrNoInstance is why nothing is collected where no application has an instance.
var ErrNoInstance = errors.New("no application has an instance in this etcd: they may be registered elsewhere, and then all mappings would look as if of no use")

// timeout is how long one request may take.
const timeout = 10 * time.Second

type collector struct {
	Options
	client *clientv3.Client
	layout keys.Layout
	feed   *listener.Feed
	store  world.Store

	since   map[string]time.Time // when a piece was first seen, by id; those that are none any more are left out
	pieces  map[string]*Piece    // by id
	deleted []*Piece
	failed  bool
}

// Dial connects to etcd.
type Dial func(context.Context, ...grpc.DialOption) (*clientv3.Client, error)

// Collect finds what is of no use, and deletes it if that is wanted. It fails if etcd
// cannot be read, or something could not be deleted.
func Collect(ctx context.Context, dial Dial, l keys.Layout, o Options) error {
	var client *clientv3.Client
	hub := listener.NewHub(listener.Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }})
	client, err := dial(ctx, grpc.WithChainStreamInterceptor(hub.StreamInterceptor()))
	if err != nil {
		return err
	}
	defer client.Close()
	defer hub.Close()
	c := &collector{Options: o, client: client, layout: l, store: world.Store{Layout: l}, since: map[string]time.Time{}}
	c.feed = hub.Open(l.Prefixes()...)
	defer c.feed.Close()
	if err := c.feed.Ready(ctx); err != nil {
		return fmt.Errorf("read %s: %w", strings.Join(l.Prefixes(), " and "), err)
	}
	c.look()
	w := c.store.World()
	if !o.Elsewhere && len(c.pieces) > 0 && !w.HasInstance() {
		return ErrNoInstance
	}
	for _, p := range w.Problems() {
		if p.Left != "" {
			o.Tell(Left, &Piece{Kind: p.Kind, Key: p.Key, Why: p.Text}, p.Left)
		}
	}
	if !o.Delete {
		for _, p := range c.inOrder() {
			o.Tell(Found, p, "")
		}
		return nil
	}
	if o.afterLook != nil {
		o.afterLook()
	}
	if err := c.delete(ctx); err != nil {
		return err
	}
	if err := c.guard(ctx); err != nil {
		return err
	}
	if c.failed {
		return errors.New("not all could be deleted")
	}
	return nil
}

// look takes in what changed.
func (c *collector) look() {
	changes := c.feed.Take()
	c.store.Take(changes)
	stirred := map[string]bool{} // applications of which an instance came or went, be it both
	for _, change := range changes {
		if k := c.layout.Read(change.Key, nil); k.Kind == keys.Instance {
			stirred[k.Of] = true
		}
	}
	now, since := time.Now(), map[string]time.Time{}
	c.pieces = map[string]*Piece{}
	for _, p := range find(c.store.World(), c.layout.Services) {
		first, known := c.since[p.id()]
		if !known || slices.ContainsFunc(p.applications, func(name string) bool { return stirred[name] }) {
			first = now
		}
		since[p.id()], c.pieces[p.id()] = first, p
	}
	c.since = since
}

func (c *collector) inOrder() []*Piece {
	pieces := make([]*Piece, 0, len(c.pieces))
	for _, p := range c.pieces {
		pieces = append(pieces, p)
	}
	slices.SortFunc(pieces, func(a, b *Piece) int { return strings.Compare(a.Key, b.Key) })
	return pieces
}

// delete deletes what was found at first, as soon as each is old enough. What is found
// meanwhile is for another time.
func (c *collector) delete(ctx context.Context) error {
	waiting := c.inOrder()
	for len(waiting) > 0 {
		var later []*Piece
		next := c.Age
		for _, p := range waiting {
			seen, still := c.since[p.id()]
			old := time.Since(seen)
			if !p.updated.IsZero() {
				old = min(old, time.Since(p.updated))
			}
			switch {
			case !still:
				c.Tell(Kept, p, "it is in use, or was written")
			case old >= c.Age:
				c.deleteOne(ctx, c.pieces[p.id()])
			default:
				later, next = append(later, p), min(next, c.Age-old)
			}
		}
		if waiting = later; len(waiting) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.feed.Changed():
			c.look()
		case <-time.After(next):
		}
	}
	return ctx.Err()
}

func (c *collector) deleteOne(ctx context.Context, p *Piece) {
	if c.beforeDelete != nil {
		c.beforeDelete()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	response, err := c.client.Txn(ctx).If(p.compare()...).Then(p.remove()).Commit()
	switch {
	case err != nil:
		c.failed = true
		c.Tell(Failed, p, err.Error())
	case !response.Succeeded:
		c.Tell(Kept, p, "somebody needs it, or wrote it, just now")
	default:
		c.deleted = append(c.deleted, p)
		c.Tell(Deleted, p, "")
	}
}

// guard puts back what somebody turns out to need.
func (c *collector) guard(ctx context.Context) error {
	if len(c.deleted) == 0 {
		return nil
	}
	end := time.After(c.Grace)
	for {
		c.store.Take(c.feed.Take())
		w := c.store.World()
		c.deleted = slices.DeleteFunc(c.deleted, func(p *Piece) bool { return c.restored(ctx, w, p) })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.feed.Changed():
		case <-end:
			return nil
		}
	}
}
