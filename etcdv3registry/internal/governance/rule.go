// SPDX-License-Identifier: Apache-2.0

// Package governance has overrides of Dubbo 2.6 and dubbo-admin understood: it
// stands between a subscription and those listeners of the framework that expect
// more, or understand less, than the list of URLs that it delivers.
package governance

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// The parameters of a rule that no constant of the framework names.
const (
	dynamicKey  = "dynamic"
	priorityKey = "priority"
	disabledKey = "disabled"
)

// absentProtocol is that of a rule for what a URL does not have itself.
const absentProtocol = "absent"

// aboutRule are the parameters that say what a rule is and whom it is for.
// They are not written over those of a URL, but for group and version (which
// say whom it is for, too) as in
// org.apache.dubbo.rpc.cluster.configurator.AbstractConfigurator.
var aboutRule = []string{
	constant.CategoryKey, constant.CheckKey, dynamicKey, constant.EnabledKey, constant.GroupKey, constant.VersionKey,
	constant.ApplicationKey, constant.SideKey, constant.ConfigVersionKey, constant.CompatibleConfigKey,
	constant.InterfaceKey, constant.ClassifierKey, constant.AnyhostKey, constant.OverrideProvidersKey, priorityKey,
}

// rule is an override of Dubbo 2.6:
//
//	override://0.0.0.0/com.example.Greeter?category=configurators&dynamic=false&timeout=2500
type rule struct{ *common.URL }

// rulesOf takes the rules out of a list of URLs, in the order in which they
// apply, of which the last counts: Java's, which has a rule for one address win
// over a rule for all, and then the higher priority; and, where that says
// nothing, that of the list. One URL of the protocol empty cancels all rules.
func rulesOf(urls []*common.URL) []rule {
	var rules []rule
	for _, u := range urls {
		switch {
		case !IsConfigurator(u):
		case u.Protocol == constant.EmptyProtocol:
			return nil
		case u.Ip == "": // it is for nobody
		case u.Protocol == constant.OverrideProtocol || u.Protocol == absentProtocol:
			rules = append(rules, rule{u})
		}
	}
	slices.SortStableFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(a.Ip, b.Ip), cmp.Compare(a.GetParamInt(priorityKey, 0), b.GetParamInt(priorityKey, 0)))
	})
	return rules
}

// side is who applies a rule: a provider to itself, or a consumer to the
// Providers that it knows.
type side struct {
	name        string // as in the parameter side
	host        string // of a consumer; a rule that names a host without a port means that
	application string
}

// isFor reports whether the rule is for this side at all. Which providers it is
// for is asked by isAbout.
func (r rule) isFor(s side) bool {
	if r.Port == "0" && r.Ip != constant.AnyHostValue && r.Ip != s.host {
		return false
	}
	return isAny(r.GetParam(constant.ApplicationKey, r.Username), s.application) && isAny(r.GetParam(constant.SideKey, ""), s.name)
}

// isAbout reports whether the rule is about a provider. params are those of
// the provider as the side sees it.
func (r rule) isAbout(provider *common.URL, params func(name string) string) bool {
	ip := cmp.Or(provider.Ip, common.GetLocalIp()) // with which it is registered
	if r.Port != "0" && (r.Port != provider.Port || r.Ip != constant.AnyHostValue && r.Ip != ip) {
		return false
	}
	if addresses := r.GetParam(constant.OverrideProvidersKey, ""); addresses != "" &&
		!strings.Contains(addresses, ip+":"+provider.Port) && !strings.Contains(addresses, constant.AnyHostValue) {
		return false
	}
	about := true
	r.RangeParams(func(name, value string) bool {
		if condition, ok := strings.CutPrefix(name, "~"); ok {
			about = isAny(value, params(condition))
		}
		return about
	})
	return about
}

// isAny reports whether a condition of a rule holds for a value.
func isAny(condition, value string) bool {
	return condition == "" || condition == constant.AnyValue || condition == value
}

// overrides returns what the rule writes over the parameters of a URL.
func (r rule) overrides() map[string]string {
	params := paramsOf(r.URL)
	maps.DeleteFunc(params, func(name, _ string) bool { return strings.HasPrefix(name, "~") || slices.Contains(aboutRule, name) })
	return params
}

// override writes the rule over params and returns what it wrote.
func (r rule) override(params map[string]string) map[string]string {
	written := r.overrides()
	if r.Protocol == absentProtocol {
		maps.DeleteFunc(written, func(name, _ string) bool { return params[name] != "" })
	}
	maps.Copy(params, written)
	return written
}
