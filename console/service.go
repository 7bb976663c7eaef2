// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"

	_ "dubbo.apache.org/dubbo-go/v3/config_center/configurator" // applies overrides

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
)

// service is what the page shows of an interface.
type service struct {
	Name      string `json:"name"`
	Providers []row  `json:"providers"`
	Consumers []row  `json:"consumers"`
	Overrides []row  `json:"overrides"`
	Routers   []row  `json:"routers"`
	// Applications serve it at application level.
	Applications []row `json:"applications"`
}

// row is one entry. What does not apply to its category is empty.
type row struct {
	ID          uint64  `json:"id"`
	Protocol    string  `json:"protocol"`
	Address     string  `json:"address"` // empty: any
	Application string  `json:"application,omitempty"`
	Group       string  `json:"group,omitempty"`
	Version     string  `json:"version,omitempty"`
	Started     int64   `json:"started,omitempty"`  // when its process says it did, in milliseconds since 1970
	Seen        int64   `json:"seen"`               // when the console heard of it, likewise
	Disabled    bool    `json:"disabled,omitempty"` // overrides included
	Weight      string  `json:"weight,omitempty"`   // if it is not the usual one, overrides included
	Static      bool    `json:"static,omitempty"`   // it stays when its process ends
	Changes     []param `json:"changes,omitempty"`  // what overrides make of a provider, or an override sets
	Conditions  []param `json:"conditions,omitempty"`
	Rule        string  `json:"rule,omitempty"` // of a router
	Params      []param `json:"params"`

	// Of the application level.
	Revision string `json:"revision,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Lease    string `json:"lease,omitempty"`   // in hexadecimal, as etcdctl has it
	Changed  int64  `json:"changed,omitempty"` // the revision of etcd in which the key was put last
	Count    int    `json:"count,omitempty"`   // of an application's instances
	Mapped   bool   `json:"mapped,omitempty"`  // by a mapping, not only by metadata
	Broken   string `json:"broken,omitempty"`  // why it is of no use
}

// param is a parameter of a URL, fit to be shown.
type param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// usualWeight is what a provider has that names none.
const usualWeight = "100"

func newService(name string, entries iter.Seq[*entry]) *service {
	s := &service{Name: name, Providers: []row{}, Consumers: []row{}, Overrides: []row{}, Routers: []row{}, Applications: []row{}}
	var providers []*entry
	var overrides []*common.URL
	// In the order of their creation: of overrides that contradict each other
	// the last one counts.
	for _, e := range slices.SortedFunc(entries, func(a, b *entry) int { return cmp.Compare(a.id, b.id) }) {
		switch e.url.GetParam(constant.CategoryKey, constant.DefaultCategory) {
		case constant.ConsumerCategory:
			s.Consumers = append(s.Consumers, newRow(e))
		case constant.ConfiguratorsCategory:
			s.Overrides = append(s.Overrides, overrideRow(e))
			overrides = append(overrides, e.url)
		case constant.RoutersCategory:
			s.Routers = append(s.Routers, routerRow(e))
		default:
			providers = append(providers, e)
		}
	}
	for _, e := range providers {
		s.Providers = append(s.Providers, providerRow(e, overrides))
	}
	byAddress := func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Application, b.Application), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(s.Providers, byAddress)
	slices.SortFunc(s.Consumers, byAddress)
	return s
}

// newRow has what all categories have in common.
func newRow(e *entry) row {
	get := func(name string) string { return mask.Value(name, e.url.GetParam(name, "")) }
	r := row{
		ID:          e.id,
		Protocol:    mask.Cut(e.url.Protocol),
		Address:     mask.Cut(strings.TrimSuffix(e.url.Location, ":0")),
		Application: get(constant.ApplicationKey),
		Group:       get(constant.GroupKey),
		Version:     get(constant.VersionKey),
		Started:     started(e),
		Seen:        e.seen.UnixMilli(),
		Disabled:    isDisabled(e.url),
		Static:      !e.url.GetParamBool("dynamic", true),
		Params:      paramsOf(e.url),
	}
	if r.Address == constant.AnyHostValue {
		r.Address = ""
	}
	return r
}

// providerRow shows a provider as consumers see it.
func providerRow(e *entry, overrides []*common.URL) row {
	r := newRow(e)
	effective := overridden(e.url, overrides)
	r.Disabled = isDisabled(effective)
	if weight := effective.GetParam(constant.WeightKey, usualWeight); weight != usualWeight && !isUnset(weight, effective) {
		r.Weight = mask.Cut(weight)
	}
	for _, p := range paramsOf(effective) {
		if !slices.Contains(r.Params, p) && !slices.Contains(ofTheRule, p.Name) {
			r.Changes = append(r.Changes, p)
		}
	}
	return r
}

// isUnset knows the weight that dubbo-go writes where none is configured.
func isUnset(weight string, provider *common.URL) bool {
	return weight == "0" && strings.HasPrefix(provider.GetParam(constant.ReleaseKey, ""), "dubbo-golang")
}

// overridden applies the overrides that are meant for a provider, as a
// consumer's directory does.
func overridden(provider *common.URL, overrides []*common.URL) *common.URL {
	var meant []*common.URL
	for _, o := range overrides {
		if o.GetParam(constant.GroupKey, "") == provider.GetParam(constant.GroupKey, "") &&
			o.GetParam(constant.VersionKey, "") == provider.GetParam(constant.VersionKey, "") {
			meant = append(meant, o)
		}
	}
	if len(meant) == 0 {
		return provider
	}
	effective := provider.Clone()
	for _, c := range registry.ToConfigurators(meant, extension.GetDefaultConfiguratorFunc()) {
		c.Configure(effective)
	}
	return effective
}

// ofTheRule are the parameters that say what an override is, not what it sets.
var ofTheRule = []string{
	constant.CategoryKey, constant.CheckKey, constant.EnabledKey, "dynamic", constant.InterfaceKey, constant.GroupKey,
	constant.VersionKey, constant.ConfigVersionKey, constant.CompatibleConfigKey, constant.TimestampKey, "runtime", "force", "priority", "name",
}

func overrideRow(e *entry) row {
	r := newRow(e)
	r.Disabled = !e.url.GetParamBool(constant.EnabledKey, true) // disabled=true is what it sets
	r.Application = ""
	for _, p := range r.Params {
		switch name, condition := strings.CutPrefix(p.Name, "~"); {
		case condition, name == constant.ApplicationKey, name == constant.SideKey, name == constant.OverrideProvidersKey:
			r.Conditions = append(r.Conditions, param{name, p.Value})
		case !slices.Contains(ofTheRule, name):
			r.Changes = append(r.Changes, p)
		}
	}
	return r
}

func routerRow(e *entry) row {
	r := newRow(e)
	rule := e.url.GetParam("rule", "")
	if decoded, err := url.QueryUnescape(rule); err == nil { // Java encodes it by itself
		rule = decoded
	}
	r.Rule = mask.Value("rule", rule)
	return r
}

// isDisabled knows both ways to say it: enabled is of the registry, disabled
// of Dubbo's overrides.
func isDisabled(u *common.URL) bool {
	return !u.GetParamBool(constant.EnabledKey, true) || u.GetParamBool("disabled", false)
}

// started reads the timestamp: seconds in dubbo-go, milliseconds in Java. One
// that cannot be is left out.
func started(e *entry) int64 {
	t, err := strconv.ParseInt(e.url.GetParam(constant.TimestampKey, ""), 10, 64)
	if err != nil {
		return 0
	}
	return startedAt(t, e.seen)
}

// startedAt is a timestamp in milliseconds; zero if it makes no sense for what the
// console heard of at a time.
func startedAt(t int64, seen time.Time) int64 {
	const secondsOfYear5138 = 100_000_000_000
	if t < secondsOfYear5138 {
		t *= 1000
	}
	if t < time.Date(2008, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() || t > seen.Add(24*time.Hour).UnixMilli() {
		return 0
	}
	return t
}

// mostParams is of how many parameters of a URL the page is told.
const mostParams = 500

func paramsOf(u *common.URL) []param {
	values := u.CopyParams()
	names := slices.Sorted(maps.Keys(values))
	params := make([]param, 0, len(names))
	for _, name := range names[:min(len(names), mostParams)] {
		params = append(params, param{mask.Cut(name), mask.Value(name, strings.Join(values[name], ","))})
	}
	return params
}
