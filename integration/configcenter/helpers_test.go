// SPDX-License-Identifier: Apache-2.0

package configcenter_test

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/remoting"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// patience is how long a test waits for what has to happen, on a machine that
// is busy with something else.
const patience = 30 * time.Second

// rule is the key of a rule, as the framework makes it.
const (
	rule     = "org.e2e.Greeter::.condition-router"
	ruleInDB = "/dubbo/config/dubbo/" + rule
)

// newCenter asks the framework for the config center at an address; params are
// pairs of a name and a value.
func newCenter(t testing.TB, address string, params ...string) config_center.DynamicConfiguration {
	t.Helper()
	c, err := centerAt(address, "", "", params...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.(io.Closer).Close()) })
	return c
}

// centerAt makes the URL as the framework does, in globalConfigCenterURL.
func centerAt(address, username, password string, params ...string) (config_center.DynamicConfiguration, error) {
	values := url.Values{}
	for _, name := range []string{constant.ConfigNamespaceKey, constant.ConfigGroupKey, constant.ConfigClusterKey} {
		values.Set(name, "")
	}
	values.Set(constant.ConfigAppIDKey, "dubbo")
	values.Set(constant.ConfigTimeoutKey, "10s")
	values.Set(constant.ClientNameKey, "dubbo.config-center-etcdv3-"+address)
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	u, err := common.NewURL(address, common.WithProtocol("etcdv3"), common.WithParams(values),
		common.WithUsername(username), common.WithPassword(password))
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
type listener struct {
	mu        sync.Mutex
	told      []string
	inside    int
	faults    []string
	onProcess func()
}

func (l *listener) Process(e *config_center.ConfigChangeEvent) {
	l.mu.Lock()
	if l.inside++; l.inside > 1 {
		l.faults = append(l.faults, "called by two goroutines at once")
	}
	l.told = append(l.told, fmt.Sprintf("%s %s=%s", e.ConfigType, e.Key, e.Value.(string)))
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inside--
	}()
	if l.onProcess != nil {
		l.onProcess()
	}
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

func told(action remoting.EventType, key, value string) string {
	return fmt.Sprintf("%s %s=%s", action, key, value)
}

func add(value string) string    { return told(remoting.EventTypeAdd, rule, value) }
func update(value string) string { return told(remoting.EventTypeUpdate, rule, value) }

var deletion = told(remoting.EventTypeDel, rule, "")

// requireLast waits until this is what the listener has been told last.
func (l *listener) requireLast(t testing.TB, want string) {
	t.Helper()
	ok := eventually(func() bool {
		all := l.all()
		return len(all) > 0 && all[len(all)-1] == want
	})
	require.True(t, ok, "the listener was told %q, want %q last", l.all(), want)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.faults)
}

func eventually(cond func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

func put(t testing.TB, etcd *etcdtest.Server, key, value string) {
	t.Helper()
	_, err := etcd.Client().Put(t.Context(), key, value)
	require.NoError(t, err)
}

func del(t testing.TB, etcd *etcdtest.Server, key string) (revision int64) {
	t.Helper()
	response, err := etcd.Client().Delete(t.Context(), key)
	require.NoError(t, err)
	return response.Header.Revision
}

func requireRule(t testing.TB, c config_center.DynamicConfiguration, want string) {
	t.Helper()
	value, err := c.GetRule(rule)
	require.NoError(t, err)
	require.Equal(t, want, value)
}
