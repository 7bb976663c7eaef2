// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"errors"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// unanswered is how many watches etcd is asked to create at a time: neither side
// is to wait for the other to read.
const unanswered = 64

// watching is what watches know of one stream.
type watching struct {
	*watches
	stream WatchStream

	todo      []creation       // that etcd is to be asked for
	creating  []creation       // that it was asked for: it answers in this order
	asked     map[string]bool  // names that were asked for; false: etcd has refused
	names     map[int64]string // of watches that there are
	ids       map[string]int64 // likewise
	cancelled []int64          // of watches that are not wanted any more
	resuming  int              // watches to be created that do not go back to the writing
}

// creation is a watch that is to be created; from 0 it hears of what happens from
// then on.
type creation struct {
	name string
	from int64
	puts bool
}

// begin has everything that is wanted watched. On a stream after one that broke that
// is what happens from now on: there may be another store behind it, and etcd would
// have to go through its history.
func (s *watching) begin(again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.dirty)
	for name, w := range s.wanted {
		if again {
			s.add(creation{name, 0, w.puts})
		} else {
			s.add(creation{name, w.written + 1, w.puts})
		}
	}
}

func (s *watching) add(c creation) {
	s.todo = append(s.todo, c)
	s.asked[c.name] = true
	if c.from == 0 {
		s.resuming++
	}
}

// end notes that nothing is watched.
func (s *watching) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.heard)
}

// change takes in what was added and removed.
func (s *watching) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.dirty {
		w, wanted := s.wanted[name]
		_, asked := s.asked[name]
		id, watched := s.ids[name]
		switch {
		case wanted && !asked:
			s.add(creation{name, w.written + 1, w.puts})
		case !wanted && watched:
			s.cancelled = append(s.cancelled, id)
			s.forgetLocked(id)
		case !wanted && !s.asked[name]:
			delete(s.asked, name)
		}
	}
	clear(s.dirty)
}

func (s *watching) forgetLocked(id int64) {
	name := s.names[id]
	delete(s.names, id)
	delete(s.ids, name)
	delete(s.asked, name)
	delete(s.heard, name)
}

// send asks etcd for what is to be done, and returns false if the stream is broken.
func (s *watching) send() bool {
	for ; len(s.cancelled) > 0; s.cancelled = s.cancelled[1:] {
		cancel := &etcdserverpb.WatchCancelRequest{WatchId: s.cancelled[0]}
		if s.stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: cancel}}) != nil {
			return false
		}
	}
	for ; len(s.todo) > 0 && len(s.creating) < unanswered; s.todo = s.todo[1:] {
		c := s.todo[0]
		create := &etcdserverpb.WatchCreateRequest{Key: []byte(c.name), StartRevision: c.from}
		if !c.puts {
			create.Filters = []etcdserverpb.WatchCreateRequest_FilterType{etcdserverpb.WatchCreateRequest_NOPUT}
		}
		if s.stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}) != nil {
			return false
		}
		s.creating = append(s.creating, c)
	}
	return true
}

// take takes in what etcd says, and returns false if another stream is needed.
func (s *watching) take(r *etcdserverpb.WatchResponse) bool {
	switch name, known := s.names[r.WatchId]; {
	case r.Created:
		return s.created(r)
	case !known: // it is not wanted any more
	case r.CompactRevision > 0: // of what was deleted since the writing nothing is known
		s.cancelled = append(s.cancelled, r.WatchId) // etcd keeps one that it has ended so
		s.forget(r.WatchId)
		s.add(creation{name: name, puts: s.puts(name)})
	case r.Canceled:
		return false
	default:
		for _, e := range r.Events {
			switch kv := e.Kv; {
			case kv == nil || string(kv.Key) != name:
			case e.Type == mvccpb.DELETE:
				s.changed(name, kv.ModRevision, Content{})
			default:
				s.changed(name, kv.ModRevision, Content{string(kv.Value), true})
			}
		}
	}
	return true
}

// puts reports whether others write a key.
func (s *watching) puts(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted[name].puts
}

func (s *watching) forget(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(id)
}

// created takes in what became of the watch that was asked for first.
func (s *watching) created(r *etcdserverpb.WatchResponse) bool {
	if len(s.creating) == 0 {
		return false
	}
	c := s.creating[0]
	s.creating = s.creating[1:]
	switch {
	case r.Canceled && retry.TokenRefused(errors.New(r.CancelReason)):
		return false
	case r.Canceled: // whoever may write a key but not read it
		s.asked[c.name] = false
	default:
		s.note(c, r)
	}
	if c.from == 0 {
		if s.resuming--; s.resuming == 0 {
			s.resumed()
		}
	}
	return true
}

// note notes that there is a watch, which may not be wanted any more.
func (s *watching) note(c creation, r *etcdserverpb.WatchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[r.WatchId], s.ids[c.name] = c.name, r.WatchId
	_, wanted := s.wanted[c.name]
	other := r.Header.GetRevision() < c.from-1 // store than the key was written to
	if !wanted || other {
		s.cancelled = append(s.cancelled, r.WatchId)
		s.forgetLocked(r.WatchId)
		if wanted {
			s.add(creation{name: c.name, puts: c.puts})
		}
		return
	}
	s.heard[c.name] = hearing{c.from, true}
	if c.from == 0 {
		s.heard[c.name] = hearing{since: r.Header.GetRevision() + 1}
	}
}
