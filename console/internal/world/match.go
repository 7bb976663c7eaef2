// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

// offer is a service as somebody serves it.
type offer struct{ group, version, protocol string }

// offers are those of an interface, at both levels. ok is false if not all can be
// known: metadata of some instances is in the instances only.
func (w *World) offers(i *Interface) (offers []offer, ok bool) {
	all := map[offer]bool{}
	for _, p := range i.Providers {
		all[offer{p.URL.Param(constant.GroupKey), p.URL.Param(constant.VersionKey), p.URL.Protocol}] = true
	}
	ok = true
	for _, name := range i.Applications {
		a := w.Applications[name]
		if a == nil {
			continue
		}
		for _, e := range a.Instances {
			if e.Instance == nil || e.Instance.Revision() == "" {
				continue
			}
			m := a.Metadata[e.Instance.Revision()]
			if m == nil || m.Metadata == nil {
				ok = false
				continue
			}
			for _, s := range m.Metadata.Services {
				if s.Name == i.Name {
					all[offer{s.Group, s.Version, s.Protocol}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.protocol, b.protocol))
	}), ok
}

// mismatch says why a consumer fits none of the offers; it is empty if it fits one, or
// if that cannot be known.
func (w *World) mismatch(i *Interface, consumer *keys.URL) string {
	offers, known := w.offers(i)
	if !known || len(offers) == 0 {
		return ""
	}
	group, version, protocol := consumer.Param(constant.GroupKey), consumer.Param(constant.VersionKey), consumer.Param(constant.ProtocolKey)
	if protocol == constant.Consumer || protocol == constant.RegistryProtocol { // it says nothing of the providers
		protocol = ""
	}
	left := offers
	for _, step := range []struct {
		name, wants string
		fits        func(offer) bool
		of          func(offer) string
	}{
		{"group", group, func(o offer) bool { return fits(group, o.group) }, func(o offer) string { return o.group }},
		{"version", version, func(o offer) bool { return fits(version, o.version) }, func(o offer) string { return o.version }},
		{"protocol", protocol, func(o offer) bool { return protocol == "" || fits(protocol, o.protocol) }, func(o offer) string { return o.protocol }},
	} {
		var fitting []offer
		var has []string
		for _, o := range left {
			if step.fits(o) {
				fitting = append(fitting, o)
			}
			has = append(has, shown(step.of(o)))
		}
		if len(fitting) == 0 {
			slices.Sort(has)
			return fmt.Sprintf("it wants %s %s, they have %s", step.name, shown(step.wants), strings.Join(slices.Compact(has), ", "))
		}
		left = fitting
	}
	return ""
}

// fits says whether a consumer that names a group or version takes one of a provider:
// *, one, or one of several.
func fits(wanted, offered string) bool {
	return wanted == "*" || slices.ContainsFunc(strings.Split(wanted, ","), func(one string) bool { return strings.TrimSpace(one) == offered })
}

func shown(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
