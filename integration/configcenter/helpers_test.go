// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
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
	return testkit.NewCenter(t, address, params...)
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
