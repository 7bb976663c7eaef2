// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

// application is what the page shows of an application.
type application struct {
	Name      string `json:"name"`
	Instances []row  `json:"instances"`
	Serves    []row  `json:"serves"`    // interfaces, by mapping and metadata
	Revisions []row  `json:"revisions"` // of the metadata in etcd

	of *world.Application // that it was made of
}

// problem is one as the page is told.
type problem struct {
	ID          string     `json:"id"`
	Kind        world.Kind `json:"kind"`
	Text        string     `json:"text"`
	Do          string     `json:"do"`
	Key         string     `json:"key"`
	KeyID       uint64     `json:"keyId,omitempty"` // of one that can be deleted
	Interface   string     `json:"interface,omitempty"`
	Application string     `json:"application,omitempty"`
}

// mostProblems is of how many the page is told; the counts are of all.
const mostProblems = 1000

// view is what the application level and the configuration center come to. It does not
// change.
type view struct {
	applications map[string]*application
	served       map[string][]row // by interface: the applications that serve it
	rules        []row
	problems     []problem
	more         int      // problems beyond those
	refused      []string // prefixes that may not be read
}

// viewer makes views, and keeps of the last one what has not changed.
type viewer struct {
	seen map[string]time.Time // when the console heard of a key
	last *view
	rows map[*world.Entry]made // of the last view, by instance
}

// made is the row of an instance, and the metadata that it was made with.
type made struct {
	row      row
	metadata *world.Entry
}

func (v *viewer) view(w *world.World, refused []string) *view {
	next := &view{applications: map[string]*application{}, served: map[string][]row{}, rules: []row{}, problems: []problem{}, refused: refused}
	kept := map[*world.Entry]made{}
	for name, a := range w.Applications {
		if last := v.last.application(name); last != nil && same(last.of, a) {
			next.applications[name] = last
		} else {
			next.applications[name] = v.application(a)
		}
		for _, e := range a.Instances {
			kept[e] = v.rows[e]
		}
	}
	v.rows = kept
	for name, i := range w.Interfaces {
		if len(i.Applications) == 0 {
			continue
		}
		rows := v.served(w, i)
		if last := v.last.servedBy(name); slices.EqualFunc(last, rows, equalRows) {
			rows = last
		}
		next.served[name] = rows
	}
	for _, e := range w.Rules {
		r := v.row(e)
		r.Address, r.Group = mask.Cut(e.Part), mask.Cut(e.Of)
		next.rules = append(next.rules, r)
	}
	for _, p := range w.Problems() {
		if len(next.problems) == mostProblems {
			next.more++
			continue
		}
		var deletable uint64
		if p.Kind == world.Unreadable {
			deletable = idOf(p.Key)
		}
		next.problems = append(next.problems, problem{
			KeyID: deletable, ID: strconv.FormatUint(idOf(string(p.Kind)+p.Key+p.Text), 36), Kind: p.Kind, Text: mask.Value("", p.Text), Do: p.Do,
			Key: mask.Key(p.Key), Interface: mask.Cut(p.Interface), Application: mask.Cut(p.Application),
		})
	}
	v.last = next
	return next
}

func (v *view) application(name string) *application {
	if v == nil {
		return nil
	}
	return v.applications[name]
}

func (v *view) servedBy(name string) []row {
	if v == nil {
		return nil
	}
	return v.served[name]
}

// same says whether two applications are of the same keys.
func same(a, b *world.Application) bool {
	return slices.Equal(a.Instances, b.Instances) && maps.Equal(a.Metadata, b.Metadata) && slices.Equal(a.Interfaces, b.Interfaces)
}

func equalRows(a, b row) bool { return reflect.DeepEqual(a, b) }

// idOf stands for a key, which may hold a password.
func idOf(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64() >> 11 // JavaScript's numbers are exact below 2^53
}

// row has what all keys have in common.
func (v *viewer) row(e *world.Entry) row {
	r := row{ID: idOf(e.Name), Seen: v.seen[e.Name].UnixMilli(), Static: e.Lease == 0, Changed: e.Changed, Params: []param{}}
	if e.Lease != 0 {
		r.Lease = strconv.FormatInt(e.Lease, 16)
	}
	if e.Err != nil {
		r.Broken = mask.Value("", e.Err.Error())
	}
	return r
}

func (v *viewer) application(a *world.Application) *application {
	shown := &application{Name: a.Name, Instances: []row{}, Serves: []row{}, Revisions: []row{}, of: a}
	for _, e := range a.Instances {
		var metadata *world.Entry
		if e.Instance != nil {
			metadata = a.Metadata[e.Instance.Revision()]
		}
		known, ok := v.rows[e]
		if !ok || known.metadata != metadata {
			known = made{v.instance(a, e), metadata}
			v.rows[e] = known
		}
		shown.Instances = append(shown.Instances, known.row)
	}
	for _, name := range a.Interfaces {
		shown.Serves = append(shown.Serves, row{ID: idOf(name), Address: mask.Cut(name), Params: []param{}})
	}
	for _, revision := range slices.Sorted(maps.Keys(a.Metadata)) {
		e := a.Metadata[revision]
		r := v.row(e)
		r.Address, r.Disabled = mask.Cut(revision), !a.Uses(revision)
		if e.Metadata != nil {
			for _, name := range slices.Sorted(maps.Keys(e.Metadata.Services)) {
				s := e.Metadata.Services[name]
				r.Params = append(r.Params, param{mask.Cut(name), mask.Cut(strings.TrimSpace(s.Protocol + " " + methods(s)))})
			}
		}
		shown.Revisions = append(shown.Revisions, r)
	}
	return shown
}

func methods(s keys.ServiceInfo) string { return s.Params[constant.MethodsKey] }

func (v *viewer) instance(a *world.Application, e *world.Entry) row {
	r := v.row(e)
	r.Address = mask.Cut(e.Part)
	i := e.Instance
	if i == nil {
		return r
	}
	r.Revision, r.Disabled, r.Tag = mask.Cut(i.Revision()), i.Disabled(), mask.Cut(i.Tag)
	if i.Weight != 0 && i.Weight != 100 {
		r.Weight = strconv.FormatInt(i.Weight, 10)
	}
	for _, endpoint := range i.Endpoints() {
		r.Protocol = strings.TrimPrefix(r.Protocol+" "+mask.Cut(fmt.Sprintf("%s:%d", endpoint.Protocol, endpoint.Port)), " ")
	}
	if m := a.Metadata[i.Revision()]; i.Remote() && i.Revision() != "" && (m == nil || m.Metadata == nil) {
		r.Broken = "etcd has no metadata of its revision"
	}
	if ms, err := strconv.ParseInt(i.Metadata[constant.TimestampKey], 10, 64); err == nil {
		r.Started = startedAt(ms, v.seen[e.Name])
	}
	names := slices.Sorted(maps.Keys(i.Metadata))
	for _, name := range names[:min(len(names), mostParams)] {
		r.Params = append(r.Params, param{mask.Cut(name), mask.Value(name, i.Metadata[name])})
	}
	return r
}

// served are the applications of an interface.
func (v *viewer) served(w *world.World, i *world.Interface) []row {
	rows := make([]row, 0, len(i.Applications))
	for _, name := range i.Applications {
		r := row{ID: idOf(name), Address: mask.Cut(name), Params: []param{}}
		a := w.Applications[name]
		if a != nil {
			r.Count = len(a.Instances)
			for _, e := range a.Instances {
				if e.Instance == nil || e.Instance.Revision() == "" {
					continue
				}
				if m := a.Metadata[e.Instance.Revision()]; m != nil && m.Metadata != nil {
					r.describe(m.Metadata, i.Name)
				}
			}
		}
		r.Disabled = r.Count == 0
		r.Mapped = i.Mapping != nil && slices.Contains(i.Mapping.Applications, name)
		rows = append(rows, r)
	}
	return rows
}

// describe notes how a revision serves an interface.
func (r *row) describe(m *keys.MetadataInfo, name string) {
	for _, key := range slices.Sorted(maps.Keys(m.Services)) {
		if s := m.Services[key]; s.Name == name {
			r.Protocol = cmp.Or(r.Protocol, mask.Cut(s.Protocol))
			r.Group, r.Version = cmp.Or(r.Group, mask.Cut(s.Group)), cmp.Or(r.Version, mask.Cut(s.Version))
		}
	}
}
