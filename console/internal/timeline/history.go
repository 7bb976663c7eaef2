// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	from, to int64 // revisions

	events    []event // the newest mostEvents, in the order of their revisions
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
		h.from, h.events, h.more = h.compacted+1, nil, false
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
	defer cancel()
	type response struct {
		clientv3.WatchResponse
		of int // the prefix
	}
	told := make(chan response)
	prefixes := h.subject.prefixes()
	for i, p := range prefixes {
		responses := watcher.Watch(ctx, p, clientv3.WithPrefix(), clientv3.WithRev(h.from),
			clientv3.WithPrevKV(), clientv3.WithFragment(), clientv3.WithCreatedNotify())
		go func() {
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
		}()
	}
	created, done := 0, map[int]bool{}
	asking := time.NewTicker(askProgress)
	defer asking.Stop()
	for len(done) < len(prefixes) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-asking.C:
			if created == len(prefixes) {
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
	slices.SortStableFunc(h.events, byRevision)
	return nil
}

func byRevision(a, b event) int { return int(a.revision - b.revision) }

// take takes what is of the subject, and of the newest no more than mostEvents.
func (h *history) take(events []*clientv3.Event) {
	for _, e := range events {
		if e.Kv.ModRevision > h.to || !h.subject.has(string(e.Kv.Key)) {
			continue
		}
		read := event{revision: e.Kv.ModRevision}
		if e.Type != mvccpb.DELETE {
			read.key, read.lease = h.subject.Layout.Read(string(e.Kv.Key), e.Kv.Value), e.Kv.Lease
		}
		if e.PrevKv != nil {
			read.before, read.leaseBefore = h.subject.Layout.Read(string(e.Kv.Key), e.PrevKv.Value), e.PrevKv.Lease
		} else if e.Type == mvccpb.DELETE {
			read.before = h.subject.Layout.Read(string(e.Kv.Key), nil) // what it was is forgotten
		} else if !e.IsCreate() {
			read.before = read.key // likewise
		}
		if !h.subject.concerns(read) {
			continue
		}
		if read.kind() == keys.Config && e.PrevKv != nil {
			read.text, read.textBefore = string(e.Kv.Value), string(e.PrevKv.Value)
		}
		h.events = append(h.events, read)
	}
	if len(h.events) >= 2*mostEvents { // not with each event
		slices.SortStableFunc(h.events, byRevision)
		h.events, h.more = slices.Delete(h.events, 0, len(h.events)-mostEvents), true
	}
}

// prefixes are below which the keys of the subject are, among others.
func (s Subject) prefixes() []string {
	rules := s.Layout.Config + "/dubbo/" + s.Name
	if s.Application {
		return []string{s.Layout.Services + "/" + s.Name + "/", s.Layout.Root + "/" + s.Name + "/", s.Layout.Root + "/mapping/", rules}
	}
	return []string{s.Layout.Root + "/" + s.Name + "/", s.Layout.Root + "/mapping/" + s.Name, rules}
}

// has says whether a key may be one of the subject.
func (s Subject) has(name string) bool {
	k := s.Layout.Read(name, nil)
	switch k.Kind {
	case keys.Provider, keys.Consumer, keys.Configurator, keys.Router:
		return !s.Application && k.Of == s.Name
	case keys.Mapping:
		return s.Application || k.Of == s.Name
	case keys.Instance, keys.Metadata:
		return s.Application && k.Of == s.Name
	case keys.Config:
		rest, ok := strings.CutPrefix(k.Part, s.Name)
		return ok && k.Of == "dubbo" && (strings.HasPrefix(rest, ":") || strings.LastIndexByte(rest, '.') == 0)
	}
	return false
}

// concerns says whether an event is about the subject: a mapping is of many applications.
func (s Subject) concerns(e event) bool {
	if !s.Application || e.kind() != keys.Mapping {
		return true
	}
	return slices.Contains(e.key.Applications, s.Name) != slices.Contains(e.before.Applications, s.Name)
}

func (e event) kind() keys.Kind {
	if e.key.Name != "" {
		return e.key.Kind
	}
	return e.before.Kind
}
