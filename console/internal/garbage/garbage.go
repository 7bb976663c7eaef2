// SPDX-License-Identifier: Apache-2.0

// Package garbage finds what stays in etcd although nobody uses it any more, and deletes
// it without harm to what is alive, or comes alive meanwhile.
package garbage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

// Piece is a key that is of no use any more, or a part of its value.
type Piece struct {
	Kind     world.Kind // GoneMapping, GoneMetadata or EmptyService
	Key      string
	Revision int64    // of etcd, in which the key was put last
	Names    []string // of a mapping: the applications that are gone
	Why      string

	value   string         // of the key
	left    string         // what is to be its value; empty: none
	guards  []clientv3.Cmp // that nothing has come alive
	updated time.Time      // when its owner wrote it, if he said so

	applications []string // that have to be gone, or to have no use for it
}

// id is of a piece as it was seen: one that was written again is another.
func (p *Piece) id() string { return fmt.Sprint(p.Key, "@", p.Revision, " ", p.Names) }

// find returns what is of no use in a world, by key.
func find(w *world.World, services string) (pieces []*Piece) {
	for _, name := range slices.Sorted(maps.Keys(w.Interfaces)) {
		i := w.Interfaces[name]
		if i.Mapping != nil && i.Mapping.Lease == 0 && i.Mapping.Err == nil {
			if p := ofMapping(w, i, services); p != nil {
				pieces = append(pieces, p)
			}
		}
		if i.Key != nil && i.Entries() == 0 && i.KeepsKey() == "" {
			below := i.Key.Name + "/"
			pieces = append(pieces, &Piece{
				Kind: world.EmptyService, Key: i.Key.Name, Revision: i.Key.Changed, value: string(i.Key.Value),
				Why:    "nobody provides or calls it, and nothing overrides it",
				guards: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(below), "=", 0).WithPrefix()},
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Applications)) {
		pieces = append(pieces, ofMetadata(w.Applications[name], services)...)
	}
	return pieces
}

func ofMapping(w *world.World, i *world.Interface, services string) *Piece {
	p := &Piece{Kind: world.GoneMapping, Key: i.Mapping.Name, Revision: i.Mapping.Changed, value: string(i.Mapping.Value)}
	var left []string
	for _, application := range i.Mapping.Applications {
		if w.Alive(application) || w.KeepsName(i.Mapping, application) != "" {
			left = append(left, application)
			continue
		}
		p.Names = append(p.Names, application)
		p.guards = append(p.guards, clientv3.Compare(clientv3.CreateRevision(services+"/"+application+"/"), "=", 0).WithPrefix())
	}
	if len(p.Names) == 0 {
		return nil
	}
	p.left, p.applications = strings.Join(left, ","), slices.Clone(p.Names)
	p.Why = fmt.Sprintf("it names %s, without an instance", strings.Join(p.Names, ", "))
	if p.left != "" {
		p.Why += "; " + p.left + " stays"
	}
	return p
}

func ofMetadata(a *world.Application, services string) (pieces []*Piece) {
	below := services + "/" + a.Name + "/"
	var newest int64 // what was put there later has not been seen
	for _, e := range a.Instances {
		newest = max(newest, e.Changed)
	}
	for _, revision := range slices.Sorted(maps.Keys(a.Metadata)) {
		e := a.Metadata[revision]
		if a.Uses(revision) || a.KeepsMetadata(e) != "" {
			continue
		}
		p := &Piece{
			Kind: world.GoneMetadata, Key: e.Name, Revision: e.Changed, value: string(e.Value),
			Why: "no instance of " + a.Name + " has this revision", applications: []string{a.Name},
			guards: []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(below), "<", newest+1).WithPrefix()},
		}
		if ms := report.ParseMetadataLastUpdatedTime(e.Value); ms > 0 {
			p.updated = time.UnixMilli(ms)
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// compare is all that has to hold for the piece to be deleted.
func (p *Piece) compare() []clientv3.Cmp {
	return append([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(p.Key), "=", p.Revision)}, p.guards...)
}

func (p *Piece) remove() clientv3.Op {
	if p.left != "" {
		return clientv3.OpPut(p.Key, p.left)
	}
	return clientv3.OpDelete(p.Key)
}
