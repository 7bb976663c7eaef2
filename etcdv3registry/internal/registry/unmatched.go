// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// unmatched tells the log when there are providers of a service, and none that its
// reference asks for: the framework says no more than that there is no provider.
type unmatched struct {
	query query
	root  string
	told  bool // that there is none, and there has been none since
}

// look is a listener.View's Unmatched.
func (m *unmatched) look(others []string, told iter.Seq[string]) {
	for key := range told {
		if category, _, _ := layout.Split(m.root, key); category == layout.Providers {
			m.told = false
			return
		}
	}
	if m.told {
		return
	}
	var kinds []string
	for _, key := range others {
		category, encoded, _ := layout.Split(m.root, key)
		if category != layout.Providers {
			continue
		}
		if text, err := layout.Decode(encoded); err == nil && !m.query.mayMatch(text) {
			kinds = append(kinds, kindOf(text))
		}
	}
	slices.Sort(kinds)
	if kinds = slices.Compact(kinds); len(kinds) == 0 {
		return
	}
	m.told = true
	logger.Warnf("[etcdv3] there are providers of %s, but none that this reference asks for: it asks for %s, they are %s",
		m.query.service, m.query.kind(), strings.Join(kinds[:min(len(kinds), 4)], "; "))
}

// kind says what is asked for, as kindOf says what a provider is.
func (q query) kind() string {
	return kind(strings.Join(q.protocols, " or "), strings.Join(q.group, " or "), q.version)
}

func kindOf(provider layout.Text) string {
	return kind(provider.Protocol(), provider.Param(constant.GroupKey), provider.Param(constant.VersionKey))
}

func kind(protocol, group, version string) string {
	return fmt.Sprintf("%s of group %s and version %s", show(protocol, "any"), show(group, "(none)"), show(version, "(none)"))
}

func show(text, empty string) string {
	if text == "" {
		return empty
	}
	return sane.Show(text)
}
