// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"errors"
	"net"
	"strings"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// checked is the parser of override rules, without the parameters that would have
// the framework panic.
type checked struct{ parser.ConfigurationParser }

func (c checked) ParseToUrls(content string) ([]*common.URL, error) {
	if len(content) > maxRule {
		return nil, errors.New("the rule is too large")
	}
	if err := checkOverrides(content); err != nil {
		return nil, err
	}
	urls, err := c.ConfigurationParser.ParseToUrls(content)
	for _, u := range urls {
		withPort(u)
		var left sane.ParametersError
		if errors.As(sane.Overrides(u), &left) {
			logger.Warnf("[etcdv3] skipping %s of an override: %v", left.Part(), left)
		}
	}
	return urls, err
}

// withPort gives an override's address the port 0 if it has none, as one that was
// given no addresses: the framework compares an IP, which common.NewURL of v3.3.2
// takes of addresses with a port only.
func withPort(u *common.URL) {
	if u.Port == "" && u.Ip == "" {
		u.Ip, u.Port = u.Location, "0"
		u.Location = net.JoinHostPort(u.Ip, u.Port)
	}
}

// maxRule is how many bytes an override may have.
const maxRule = 1 << 20

// refusals are the rules that are not told, by key, so that the log has a line for
// each of them once. The zero value is ready.
type refusals struct {
	mu    sync.Mutex // guards rules
	rules map[string]string
}

// changed notes whether a rule is refused, and reports whether that is new.
func (r *refusals) changed(path, rule string, refused bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.rules[path]
	switch {
	case !refused:
		delete(r.rules, path)
		return false
	case known && before == rule:
		return false
	case r.rules == nil:
		r.rules = map[string]string{}
	}
	r.rules[path] = rule
	return true
}

// told returns a rule or a configuration as the framework is told of it; "" if there
// is none, or if it may not be told.
func (c *Center) told(path, value string) string {
	if isNothing(value) {
		c.refused.changed(path, value, false)
		return ""
	}
	if !c.lets(path) {
		return ""
	}
	told, err := usable(path, value)
	if c.refused.changed(path, value, err != nil) {
		logger.Warnf("[etcdv3] the rule %s is not used: %v", layout.Show(path), err)
	}
	if err != nil {
		return ""
	}
	return told
}

// lets reports whether a rule may be told. Those for the script router are programs
// in JavaScript, which the framework runs in each call, without any limit: whoever
// can write to etcd would run what he likes in each consumer.
func (c *Center) lets(path string) bool {
	if c.user.ScriptRules || !strings.HasSuffix(path, constant.ScriptRouterRuleSuffix) {
		return true
	}
	c.scripts.Do(func() {
		logger.Warnf("[etcdv3] %s is not looked at, as script rules are not: they are programs that run in this process (script-rules=true lets them through)", layout.Show(path))
	})
	return false
}
