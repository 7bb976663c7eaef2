// SPDX-License-Identifier: Apache-2.0

// Package timeline tells what became of a service or an application lately, out of etcd's
// own history: as far back as etcd has not been compacted, and no further than is cheap
// to read.
//
// etcd notes no times. When a change was made is known from a Clock, which notes what
// revision etcd had when, while somebody asks it; before that only the order is known.
package timeline

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// What happened.
type What string

// The things that happen.
const (
	Came    What = "came"    // the key was created
	Changed What = "changed" // it says something else
	Again   What = "again"   // it was put with what it says already, by a process that started anew, say
	Left    What = "left"    // the key was deleted
)

// End is how a key with a lease was deleted.
type End string

// The ends. Without a lease there is none.
const (
	Unknown   End = ""
	Deleted   End = "deleted"    // its lease lived on: its process deleted it, or somebody else
	WithLease End = "with-lease" // its lease is gone as well
)

// Entry is one thing that happened.
type Entry struct {
	Revision int64 // of etcd
	What     What
	Key      keys.Key // as it is after that; of one that left, as it was
	Changes  []Change // of one that changed; of an override or a mapping that came, what it says
	// After and Before bound the time when it happened, as a Clock knows it. Zero: not
	// bounded on that side.
	After, Before time.Time
	Started       int64 // what the key itself says, in milliseconds since 1970; zero: nothing
	Lease         int64 // that it is, or was, under
	End           End
}

// Change is of one parameter. One that is not there is empty.
type Change struct{ Name, From, To string }

// Subject is what a time line is of.
type Subject struct {
	Layout      keys.Layout
	Name        string // of an interface or an application
	Application bool
}

// Line is what is known.
type Line struct {
	Entries []Entry // the newest first
	// From and To are the first and the last revision that were looked at.
	From, To int64
	// Compacted is the revision before which etcd has forgotten everything, if From
	// is because of that.
	Compacted int64
	More      bool // there were more entries in these revisions
	// Refused is what may not be read: it is left out.
	Refused []string
}

const (
	// MostEntries is how many are told of.
	MostEntries = 200
	// mostLeases is how many leases etcd is asked about.
	mostLeases = 50
)

// timeout is how long all of it may take.
var timeout = 10 * time.Second

// windows are how many revisions are looked at: as few as have enough in them. For a
// watch in the past etcd goes through all revisions since, whatever their keys.
var windows = []int64{1000, 10_000}

// Read reads a time line.
func Read(ctx context.Context, client *clientv3.Client, s Subject, clock *Clock) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var line Line
	var prefixes []string
	for _, prefix := range s.prefixes() { // that a watch may not be made does not say why
		asked := time.Now()
		now, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
		if retry.Denied(err) {
			line.Refused = append(line.Refused, prefix)
			continue
		}
		if err != nil {
			return Line{}, err
		}
		clock.Note(now.Header.ClusterId, now.Header.Revision, asked, time.Now())
		line.To = now.Header.Revision
		prefixes = append(prefixes, prefix)
	}
	if len(prefixes) == 0 {
		return line, nil
	}
	var events []event
	for _, window := range windows {
		from := max(1, line.To-window+1, line.Compacted+1)
		h := history{client: client, subject: s, prefixes: prefixes, from: from, to: line.To}
		if err := h.read(ctx); err != nil {
			if len(events) > 0 { // less has been read
				break
			}
			return Line{}, err
		}
		events, line.From, line.Compacted, line.More = h.events(), h.from, h.compacted, h.more
		if len(events) >= MostEntries || line.Compacted != 0 || from == 1 {
			break
		}
	}
	line.Entries = entries(s, events)
	if over := len(line.Entries) - MostEntries; over > 0 {
		line.Entries, line.More = line.Entries[over:], true
	}
	slices.Reverse(line.Entries)
	settleEnds(ctx, client, line.Entries, events)
	for i := range line.Entries {
		e := &line.Entries[i]
		e.After, e.Before = clock.Between(e.Revision)
	}
	return line, nil
}
