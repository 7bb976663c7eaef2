// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	framework "dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/governance"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// query is what a subscription's URL asks for.
type query struct {
	service    string // or *
	categories []string
	group      []string // or *
	version    string   // or *
	classifier string   // or *, or empty for any
	disabled   bool     // disabled entries as well
	protocols  []string // empty: any
}

// queryOf is what a subscription of this listener asks for. A URL that names no
// category asks for providers, as in Java, but for the framework's reference:
// Java's asks for the overrides itself, the framework's understands them and
// asks for nothing.
func queryOf(u *common.URL, l framework.NotifyListener) query {
	q := newQuery(u)
	if governance.IsReference(l) && u.GetParam(constant.CategoryKey, "") == "" {
		q.categories = []string{layout.Configurators, layout.Providers}
	}
	return q
}

func newQuery(u *common.URL) query {
	return query{
		service:    u.Service(),
		categories: splitList(u.GetParam(constant.CategoryKey, constant.DefaultCategory)),
		group:      groupsOf(u.GetParam(constant.GroupKey, "")),
		version:    u.GetParam(constant.VersionKey, ""),
		classifier: u.GetParam(constant.ClassifierKey, constant.AnyValue),
		disabled:   u.GetParam(constant.EnabledKey, "") == constant.AnyValue,
		protocols:  protocolsOf(u),
	}
}

// protocolsOf returns the RPC protocols that a subscription names: by its own
// protocol, as dubbo-go's references do, or by a parameter.
func protocolsOf(u *common.URL) []string {
	switch u.Protocol {
	case "", constant.Consumer, constant.ProviderProtocol, constant.AnyValue, constant.EmptyProtocol, "admin", "etcdv3":
		names := splitList(u.GetParam(constant.ProtocolKey, ""))
		return slices.DeleteFunc(names, func(n string) bool {
			return slices.Contains([]string{constant.AnyValue, constant.Consumer, constant.ProviderProtocol}, n)
		})
	default:
		return []string{u.Protocol}
	}
}

// groupsOf splits a list of groups; no group is one of its own.
func groupsOf(s string) []string {
	var groups []string
	for group := range strings.SplitSeq(s, ",") {
		if group = strings.TrimSpace(group); group != "" || s == "" {
			groups = append(groups, group)
		}
	}
	return groups
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// prefixes are where the keys are that the query is about: those of some categories
// of one service, where it is that specific, so that the churn of the others does
// not come over the wire. What is most, and what changes most, are the consumers, of
// which every one would hear of every other.
func (q query) prefixes(root string) []string {
	if q.service == constant.AnyValue {
		return []string{root + "/"}
	}
	service := layout.ServicePrefix(root, q.service)
	var wanted []string
	for _, category := range layout.Categories {
		if q.wantsCategory(category) {
			wanted = append(wanted, service+category+"/")
		}
	}
	if len(wanted) == 0 || len(wanted) == len(layout.Categories) {
		return []string{service}
	}
	return wanted
}

// view reads the keys under the prefix for one subscription.
func (q query) view(root string) listener.View {
	return listener.View{
		Read: func(key string) (*common.URL, error) {
			category, encoded, ok := layout.Split(root, key)
			if !ok || !q.wantsCategory(category) {
				return nil, nil
			}
			if len(encoded) > sane.MaxURL {
				return nil, sane.ErrTooLarge
			}
			text, err := layout.Decode(encoded)
			if err != nil || category == layout.Providers && !q.mayMatch(text) {
				return nil, err
			}
			u, err := text.URL(category)
			if err != nil || !q.matches(u, category) {
				return nil, err
			}
			if category == layout.Providers && q.service != constant.AnyValue {
				if err = sane.Provider(u); err != nil {
					return nil, err
				}
				err = sane.Parameters(u)
				dropGenericFalse(u)
			}
			if category == layout.Configurators && q.service != constant.AnyValue {
				err = sane.Overrides(u)
			}
			return u, err
		},
		ID: func(key string, u *common.URL) string {
			if category, _, _ := layout.Split(root, key); category == layout.Providers && q.service != constant.AnyValue {
				// What the framework's directory tells providers apart by: the
				// address and the start of the process, but no other parameter.
				return u.GetCacheInvokerMapKey()
			}
			return key
		},
	}
}

// dropGenericFalse deletes what Dubbo for Java writes into each of its providers.
// To the framework a provider's parameters count more than the consumer's, even
// those that say nothing: of a consumer that calls without an interface
// (generic=true) it would take the provider's word, and refuse over Triple.
func dropGenericFalse(u *common.URL) {
	if u.GetParam(constant.GenericKey, "") == "false" {
		u.DelParam(constant.GenericKey)
	}
}

// matches is org.apache.dubbo.common.utils.UrlUtils.isMatch, and the protocol:
// a directory must not be handed invokers of another one than it refers to.
func (q query) matches(u *common.URL, category string) bool {
	service := u.Service()
	if q.service != constant.AnyValue && service != constant.AnyValue && service != q.service {
		return false
	}
	if !q.wantsCategory(u.GetParam(constant.CategoryKey, constant.DefaultCategory)) {
		return false
	}
	if !q.disabled && !u.GetParamBool(constant.EnabledKey, true) {
		return false
	}
	if category == layout.Providers && len(q.protocols) > 0 && !slices.Contains(q.protocols, u.Protocol) {
		return false
	}
	return q.matchesGroup(u.GetParam(constant.GroupKey, "")) && matchesOne(q.version, u.GetParam(constant.VersionKey, "")) &&
		matchesOne(q.classifier, u.GetParam(constant.ClassifierKey, constant.AnyValue))
}

// wantsCategory is UrlUtils.isMatchCategory: a list, * for all, or exclusions
// such as -consumers.
func (q query) wantsCategory(category string) bool {
	switch {
	case slices.Contains(q.categories, constant.AnyValue):
		return true
	case slices.ContainsFunc(q.categories, func(c string) bool { return strings.HasPrefix(c, constant.RemoveValuePrefix) }):
		return !slices.Contains(q.categories, constant.RemoveValuePrefix+category)
	default:
		return slices.Contains(q.categories, category)
	}
}
