// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// mayMatch is what can be said of a provider before a URL is made of it: false if
// matches would say so.
func (q query) mayMatch(provider layout.Text) bool {
	if len(q.protocols) > 0 && !slices.ContainsFunc(q.protocols, func(p string) bool { return strings.EqualFold(p, provider.Protocol()) }) {
		return false
	}
	classifier := provider.Param(constant.ClassifierKey)
	if classifier == "" {
		classifier = constant.AnyValue
	}
	return q.matchesGroup(provider.Param(constant.GroupKey)) &&
		matchesOne(q.version, provider.Param(constant.VersionKey)) && matchesOne(q.classifier, classifier)
}

func (q query) matchesGroup(group string) bool {
	return slices.Contains(q.group, constant.AnyValue) || slices.Contains(q.group, group)
}

func matchesOne(wanted, value string) bool { return wanted == constant.AnyValue || wanted == value }
