// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"errors"
	"strings"

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
	urls, err := c.ConfigurationParser.ParseToUrls(content)
	for _, u := range urls {
		var left sane.ParametersError
		if errors.As(sane.Overrides(u), &left) {
			logger.Warnf("[etcdv3] skipping %s of an override: %v", left.Part(), left)
		}
	}
	return urls, err
}

// maxRule is how many bytes an override may have.
const maxRule = 1 << 20

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
