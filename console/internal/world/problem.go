// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// Kind tells problems apart.
type Kind string

// The kinds of problems, the worst first.
const (
	NoProvider   Kind = "no-provider"   // somebody calls what nobody serves
	NoMatch      Kind = "no-match"      // a consumer fits none of the providers
	NoMetadata   Kind = "no-metadata"   // an instance without the metadata that it names
	Unreadable   Kind = "unreadable"    // a key that no registry can read
	Twice        Kind = "twice"         // one address is registered more than once
	GoneMapping  Kind = "gone-mapping"  // a mapping to an application without instances
	GoneMetadata Kind = "gone-metadata" // metadata of a revision that no instance has
	EmptyService Kind = "empty-service" // the key of an interface with nothing below it
)

// Kinds are all of them, the worst first.
var Kinds = []Kind{NoProvider, NoMatch, NoMetadata, Unreadable, Twice, GoneMapping, GoneMetadata, EmptyService}

// Garbage says whether it does no harm, but stays for ever.
func (k Kind) Garbage() bool { return k == GoneMapping || k == GoneMetadata || k == EmptyService }

// Problem is something that is not as it should be.
type Problem struct {
	Kind        Kind
	Interface   string // that it is about, if it is
	Application string // likewise
	Key         string // in etcd
	Text        string // a sentence, without a full stop
	Do          string // likewise: what mends it
	Left        string // why the garbage collection leaves it; empty: it does not, or it is none
}

// Problems are all that are found, the worst first.
func (w *World) Problems() []Problem {
	var all []Problem
	for _, name := range slices.Sorted(maps.Keys(w.Interfaces)) {
		all = append(all, w.ofInterface(w.Interfaces[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Applications)) {
		all = append(all, w.ofApplication(w.Applications[name])...)
	}
	for _, e := range w.Unreadable {
		all = append(all, Problem{Kind: Unreadable, Key: e.Name, Text: fmt.Sprintf("this %s cannot be read: %v", e.Kind, e.Err),
			Do: "delete the key, or have its owner write it anew"})
	}
	slices.SortStableFunc(all, func(a, b Problem) int { return slices.Index(Kinds, a.Kind) - slices.Index(Kinds, b.Kind) })
	return all
}

func (w *World) ofInterface(i *Interface) (all []Problem) {
	served := len(i.Providers) > 0 || slices.ContainsFunc(i.Applications, w.Alive)
	if !served && len(i.Consumers) > 0 {
		all = append(all, Problem{Kind: NoProvider, Interface: i.Name, Key: i.Consumers[0].Name,
			Text: fmt.Sprintf("%s has %s and no provider", i.Name, plural(len(i.Consumers), "consumer")),
			Do:   "start a provider of it, or find out why those that run do not register: console doctor -config with their configuration"})
	}
	if served {
		for _, c := range i.Consumers {
			if why := w.mismatch(i, c.URL); why != "" {
				all = append(all, Problem{Kind: NoMatch, Interface: i.Name, Application: c.URL.Param(constant.ApplicationKey), Key: c.Name,
					Text: fmt.Sprintf("the consumer %s at %s matches no provider of %s: %s", c.URL.Param(constant.ApplicationKey), c.URL.Address(), i.Name, why),
					Do:   "have the reference and the service name the same group, version and protocol"})
			}
		}
	}
	all = append(all, twice(i)...)
	if i.Mapping != nil {
		for _, application := range i.Mapping.Applications {
			if !w.Alive(application) {
				all = append(all, w.collectable(Problem{Kind: GoneMapping, Interface: i.Name, Application: application, Key: i.Mapping.Name,
					Text: fmt.Sprintf("the mapping of %s names the application %s, which has no instance", i.Name, application)},
					w.KeepsName(i.Mapping, application)))
			}
		}
	}
	if i.Key != nil && i.Entries() == 0 {
		all = append(all, w.collectable(Problem{Kind: EmptyService, Interface: i.Name, Key: i.Key.Name,
			Text: fmt.Sprintf("%s has a key for dubbo-admin and nothing below it", i.Name)}, i.KeepsKey()))
	}
	return all
}

// twice finds providers of the same service on one address: of a process that was
// started again before the lease of its first life has ended, or of two processes that
// believe to have the address.
func twice(i *Interface) (all []Problem) {
	count := map[string][]*Entry{}
	var order []string
	for _, p := range i.Providers {
		id := strings.Join([]string{p.URL.Protocol, p.URL.Address(), p.URL.Param(constant.GroupKey), p.URL.Param(constant.VersionKey)}, "\x00")
		if count[id] == nil {
			order = append(order, id)
		}
		count[id] = append(count[id], p)
	}
	for _, id := range order {
		if same := count[id]; len(same) > 1 {
			all = append(all, Problem{Kind: Twice, Interface: i.Name, Key: same[0].Name,
				Text: fmt.Sprintf("%s is registered %d times at %s://%s", i.Name, len(same), same[0].URL.Protocol, same[0].URL.Address()),
				Do:   "if it stays for longer than the TTL of a lease, two processes have this address: give one of them another"})
		}
	}
	return all
}

func (w *World) ofApplication(a *Application) (all []Problem) {
	for _, e := range a.Instances {
		if e.Instance == nil || !e.Instance.Remote() || e.Instance.Revision() == "" {
			continue
		}
		if m := a.Metadata[e.Instance.Revision()]; m == nil || m.Metadata == nil {
			all = append(all, Problem{Kind: NoMetadata, Application: a.Name, Key: e.Name,
				Text: fmt.Sprintf("the instance %s of %s has the revision %s, of which etcd has no metadata", e.Part, a.Name, e.Instance.Revision()),
				Do:   "nobody can call it: look whether it may write its metadata report, and restart it"})
		}
	}
	for _, revision := range slices.Sorted(maps.Keys(a.Metadata)) {
		if e := a.Metadata[revision]; e.Metadata != nil && e.Lease == 0 && !a.Uses(revision) {
			all = append(all, w.collectable(Problem{Kind: GoneMetadata, Application: a.Name, Key: e.Name,
				Text: fmt.Sprintf("no instance of %s has the revision %s", a.Name, revision)}, a.KeepsMetadata(e)))
		}
	}
	return all
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
