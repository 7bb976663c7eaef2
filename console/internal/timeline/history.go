// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

// event is one of etcd's, of a key that the subject has.
type event struct {
	revision    int64
	key, before keys.Key // as it was put, and as it was; those that were not have no name
	lease       int64    // that it is under now, or was
	leaseBefore int64

	text, textBefore string // of a rule
}

// history is what etcd says of some revisions.
type history struct {
	client   *clientv3.Client
	subject  Subject
	prefixes []string // of the subject's, those that may be read
	from, to int64    // revisions

	found     []*clientv3.Event // the newest mostEvents, in the order of their revisions in the end
	compacted int64
	more      bool
}

// mostEvents is more than MostEntries: two events may be one entry, and not all are of
// interest.
const mostEvents = 2 * MostEntries

// read reads it all, of what etcd has not forgotten.
func (h *history) read(ctx context.Context) error {
	for range 3 {
		err := h.watch(ctx)
		var forgotten compactedError
		if !errors.As(err, &forgotten) {
			return err
		}
		h.compacted = int64(forgotten)
		h.from, h.found, h.more = h.compacted+1, nil, false
	}
	return fmt.Errorf("etcd is compacted again and again: %w", rpctypes.ErrCompacted)
}

// compactedError is the revision that etcd was compacted at.
type compactedError int64

func (c compactedError) Error() string { return fmt.Sprintf("etcd is compacted at %d", int64(c)) }

// askProgress is how often etcd is asked whether all was told: it does not answer while
// it was not.
const askProgress = 50 * time.Millisecond

// watch reads what was, by watches from a revision in the past: on a stream of their own,
// which ends with them.
func (h *history) watch(ctx context.Context) error {
	if h.from > h.to {
		return nil
	}
	watcher := clientv3.NewWatcher(h.client)
	defer watcher.Close()
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	var telling sync.WaitGroup
	defer telling.Wait()
	defer cancel()
	type response struct {
		clientv3.WatchResponse
		of int // the prefix
	}
	told := make(chan response)
	for i, p := range h.prefixes {
		responses := watcher.Watch(ctx, p, clientv3.WithPrefix(), clientv3.WithRev(h.from),
			clientv3.WithPrevKV(), clientv3.WithFragment(), clientv3.WithCreatedNotify())
		telling.Go(func() {
			for r := range responses {
				select {
				case told <- response{r, i}:
				case <-ctx.Done():
				}
			}
			select { // a watch that etcd ends says why before
			case told <- response{clientv3.WatchResponse{Canceled: true}, i}:
			case <-ctx.Done():
			}
		})
	}
	created, done := 0, map[int]bool{}
	asking := time.NewTicker(askProgress)
	defer asking.Stop()
	for len(done) < len(h.prefixes) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-asking.C:
			if created == len(h.prefixes) {
				if err := watcher.RequestProgress(ctx); err != nil {
					return err
				}
			}
		case r := <-told:
			switch {
			case r.CompactRevision != 0:
				return compactedError(r.CompactRevision)
			case r.Err() != nil:
				return r.Err()
			case r.Canceled:
				return errors.New("etcd has ended the watch")
			case r.Created:
				created++
			case r.IsProgressNotify() && r.Header.Revision >= h.to: // what comes after that is newer
				done[r.of] = true
			}
			h.take(r.Events)
		}
	}
	slices.SortStableFunc(h.found, byRevision)
	return nil
}

func byRevision(a, b *clientv3.Event) int { return cmp.Compare(a.Kv.ModRevision, b.Kv.ModRevision) }

// take takes what is of the subject, and of the newest no more than mostEvents.
func (h *history) take(events []*clientv3.Event) {
	for _, e := range events {
		if e.Kv.ModRevision <= h.to && h.subject.has(e) {
			h.found = append(h.found, e)
		}
	}
	if len(h.found) >= 2*mostEvents { // not with each event
		slices.SortStableFunc(h.found, byRevision)
		h.found, h.more = slices.Delete(h.found, 0, len(h.found)-mostEvents), true
	}
}

// events are those that were found, looked into: which is most of the work.
func (h *history) events() []event {
	all := make([]event, 0, len(h.found))
	for _, e := range h.found {
		all = append(all, h.subject.event(e))
	}
	return all
}

func (s Subject) event(e *clientv3.Event) event {
	name := string(e.Kv.Key)
	read := event{revision: e.Kv.ModRevision}
	if e.Type != mvccpb.DELETE {
		read.key, read.lease = s.Layout.Read(name, e.Kv.Value), e.Kv.Lease
	}
	switch {
	case e.PrevKv != nil:
		read.before, read.leaseBefore = s.Layout.Read(name, e.PrevKv.Value), e.PrevKv.Lease
	case e.Type == mvccpb.DELETE:
		read.before = s.Layout.Read(name, nil) // what it was is forgotten
	case !e.IsCreate():
		read.before = read.key // likewise
	}
	if read.kind() == keys.Config && e.PrevKv != nil {
		read.text, read.textBefore = string(e.Kv.Value), string(e.PrevKv.Value)
	}
	return read
}

// prefixes are below which the keys of the subject are, among others.
func (s Subject) prefixes() []string {
	rules := s.Layout.Config + "/dubbo/" + s.Name
	if s.Application {
		return []string{s.Layout.Services + "/" + s.Name + "/", s.Layout.Root + "/" + s.Name + "/", s.Layout.Root + "/mapping/", rules}
	}
	return []string{s.Layout.Root + "/" + s.Name + "/", s.Layout.Root + "/mapping/" + s.Name, rules}
}

// has says whether an event is of the subject.
func (s Subject) has(e *clientv3.Event) bool {
	k := s.Layout.Split(string(e.Kv.Key))
	switch k.Kind {
	case keys.Provider, keys.Consumer, keys.Configurator, keys.Router:
		return !s.Application && k.Of == s.Name
	case keys.Mapping: // it is of many applications
		if !s.Application {
			return k.Of == s.Name
		}
		read := s.event(e)
		return slices.Contains(read.key.Applications, s.Name) != slices.Contains(read.before.Applications, s.Name)
	case keys.Instance, keys.Metadata:
		return s.Application && k.Of == s.Name
	case keys.Config:
		rest, ok := strings.CutPrefix(k.Part, s.Name)
		return ok && k.Of == "dubbo" && (strings.HasPrefix(rest, ":") || strings.LastIndexByte(rest, '.') == 0)
	}
	return false
}

func (e event) kind() keys.Kind {
	if e.key.Name != "" {
		return e.key.Kind
	}
	return e.before.Kind
}
