// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"io"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// rule is the key of a rule, as the framework makes it.
const (
	rule     = "org.e2e.Greeter::.condition-router"
	ruleInDB = "/dubbo/config/dubbo/" + rule
)

// newCenter asks the framework for the config center at an address; params are
// pairs of a name and a value.
func newCenter(t testing.TB, address string, params ...string) config_center.DynamicConfiguration {
	t.Helper()
	c, err := centerAt(address, params...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.(io.Closer).Close()) })
	return c
}

// centerAt makes the URL as the framework does, in globalConfigCenterURL.
func centerAt(address string, params ...string) (config_center.DynamicConfiguration, error) {
	u, err := common.NewURL(address, common.WithProtocol("etcdv3"), testkit.With(append([]string{
		constant.ConfigNamespaceKey, "", constant.ConfigGroupKey, "", constant.ConfigClusterKey, "",
		constant.ConfigAppIDKey, "dubbo", constant.ConfigTimeoutKey, "10s", constant.ClientNameKey, "dubbo.config-center-etcdv3-" + address,
	}, params...)...))
	if err != nil {
		return nil, err
	}
	factory, err := extension.GetConfigCenterFactory("etcdv3")
	if err != nil {
		return nil, err
	}
	return factory.GetDynamicConfiguration(u)
}

// listener keeps what it has been told, as "add key=value".
type listener struct{ testkit.Told }

func (l *listener) Process(e *config_center.ConfigChangeEvent) {
	l.Tell(told(e.ConfigType, e.Key, e.Value.(string)))
}

func told(action remoting.EventType, key, value string) string {
	return fmt.Sprintf("%s %s=%s", action, key, value)
}

func add(value string) string    { return told(remoting.EventTypeAdd, rule, value) }
func update(value string) string { return told(remoting.EventTypeUpdate, rule, value) }

var deletion = told(remoting.EventTypeDel, rule, "")

func requireRule(t testing.TB, c config_center.DynamicConfiguration, want string) {
	t.Helper()
	value, err := c.GetRule(rule)
	require.NoError(t, err)
	require.Equal(t, want, value)
}
