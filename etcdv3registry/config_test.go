// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
)

// registryConfig is the part of a dubbo-go registry config that the tests set.
type registryConfig struct {
	address, username, password string
	group, namespace, timeout   string
	params                      map[string]string
}

// url is what the factory is given for it: what internal.createNewURL and
// registryProtocol.getRegistry of dubbo-go make of it.
func (c registryConfig) url(t testing.TB) *common.URL {
	t.Helper()
	address := c.address
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		require.NoError(t, err, "dubbo-go itself refuses the address")
		address = u.Host + u.Path
	}
	values := url.Values{
		constant.RegistryGroupKey:   {c.group},
		constant.RegistryRoleKey:    {"3"},
		constant.RegistryKey:        {Protocol},
		constant.RegistryTimeoutKey: {c.timeout},
		constant.RegistryTTLKey:     {""},
		constant.RegistryTypeKey:    {constant.RegistryTypeInterface},
		constant.ClientNameKey:      {"dubbo.registries-etcdv3-" + c.address},
		"registry.zone":             {""},
		"registry.weight":           {"0"},
		"registry.preferred":        {"false"},
	}
	for name, value := range c.params {
		values.Set(name, value)
	}
	u, err := common.NewURL(constant.RegistryProtocol+"://"+address,
		common.WithParams(values),
		common.WithParamsValue(constant.RegistrySimplifiedKey, "false"),
		common.WithParamsValue(constant.RegistryNamespaceKey, c.namespace),
		common.WithUsername(c.username),
		common.WithPassword(c.password),
		common.WithLocation(c.address),
	)
	require.NoError(t, err, "dubbo-go itself refuses the address")
	u.Protocol = Protocol
	return u
}

// with is a config of one parameter, everything else being right.
func with(name, value string) registryConfig {
	return registryConfig{address: "127.0.0.1:2379", params: map[string]string{name: value}}
}

func TestDefaultsHoldForWhatIsNotConfigured(t *testing.T) {
	t.Parallel()
	s, err := newSettings(registryConfig{address: "127.0.0.1"}.url(t), inRegistry)
	require.NoError(t, err)
	assert.Equal(t, "/dubbo", s.root())
	assert.Equal(t, 5*time.Second, s.Timeout)
	assert.Equal(t, 5*time.Second, s.Cluster.Timeout)
	assert.Equal(t, 30*time.Second, s.Cluster.Session)
	assert.Equal(t, []string{"127.0.0.1:2379"}, s.Cluster.Endpoints)
	assert.Equal(t, []time.Duration{time.Second}, waits(s), "the waits before retries")
	assert.False(t, s.Check)
	assert.Empty(t, s.Cluster.Username)
	assert.Empty(t, s.Cluster.Password)
	assert.Equal(t, cluster.TLS{}, s.Cluster.TLS)
}

func TestGroupAndNamespaceBecomeTheRootOfAllKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ group, namespace, want string }{
		{"", "", "/dubbo"},
		{" ", "", "/dubbo"},
		{"dubbo", "", "/dubbo"},
		{"/dubbo", "", "/dubbo"},
		{"dubbo/", "", "/dubbo"},
		{"prod", "", "/prod"},
		{"/prod/eu", "", "/prod/eu"},
		{"", "tenant", "/tenant/dubbo"},
		{"", "/tenant/", "/tenant/dubbo"},
		{"/prod", "tenants/a", "/tenants/a/prod"},
	} {
		s, err := newSettings(registryConfig{address: "a", group: c.group, namespace: c.namespace}.url(t), inRegistry)
		if assert.NoError(t, err, "group %q, namespace %q", c.group, c.namespace) {
			assert.Equal(t, c.want, s.root(), "group %q, namespace %q", c.group, c.namespace)
		}
	}
}

func TestDurationsAreGoDurationsOrMilliseconds(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "1m30s": 90 * time.Second, "1500ms": 1500 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
		"3000": 3 * time.Second, "1000": time.Second, " 7s ": 7 * time.Second, "30000": 30 * time.Second,
	} {
		s, err := newSettings(registryConfig{address: "a", timeout: value, params: map[string]string{"session": value, "retry.interval": value}}.url(t), inRegistry)
		if assert.NoError(t, err, value) {
			assert.Equal(t, want, s.Timeout, "registry.timeout=%q", value)
			assert.Equal(t, want, s.Cluster.Timeout, "registry.timeout=%q", value)
			assert.Equal(t, want, s.Cluster.Session, "session=%q", value)
			assert.Equal(t, []time.Duration{want}, waits(s), "retry.interval=%q", value)
		}
	}
	s, err := newSettings(with(constant.RegistryTimeoutKey, "1ms").url(t), inRegistry)
	require.NoError(t, err)
	assert.Equal(t, time.Millisecond, s.Timeout, "the shortest registry.timeout")
	s, err = newSettings(with("retry.interval", "0").url(t), inRegistry)
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{0}, waits(s), "retry.interval may be nothing")
}

func TestRetriesAreCounted(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"0": 0, "1": 1, "4": 4, "100": 100, "": 1} {
		s, err := newSettings(with("retry.times", value).url(t), inRegistry)
		if assert.NoError(t, err, value) {
			assert.Len(t, waits(s), want, "retry.times=%q", value)
		}
	}
}

func TestCheckIsRead(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"true": true, "false": false, "": false, "True": true, "0": false} {
		s, err := newSettings(with(constant.CheckKey, value).url(t), inRegistry)
		if assert.NoError(t, err, value) {
			assert.Equal(t, want, s.Check, "check=%q", value)
		}
	}
}

func TestAValueThatCannotBeReadIsAnErrorThatNamesParameterValueAndWhatIsAccepted(t *testing.T) {
	t.Parallel()
	const aDuration = "a duration such as 5s or 1m30s, or a number of milliseconds"
	for _, c := range []struct{ name, value, accepted string }{
		{"registry.timeout", "soon", aDuration},
		{"registry.timeout", "5 s", aDuration},
		{"registry.timeout", "0", "more than zero"},
		{"registry.timeout", "0s", "more than zero"},
		{"registry.timeout", "-5s", "more than zero"},
		{"registry.timeout", "-5000", aDuration},
		{"registry.timeout", "1e3", aDuration},
		{"registry.timeout", "5.5", aDuration},
		{"registry.timeout", "9223372036854775807", aDuration},
		{"registry.timeout", "-18446744073700", aDuration}, // as nanoseconds it wraps around to 9.5 ms
		{"session", "999ms", "at least 1s"},
		{"session", "30", "at least 1s"}, // Java's unit is the millisecond
		{"session", "-30s", aDuration},
		{"session", "half a minute", aDuration},
		{"retry.times", "-1", "a number from 0 to 100"},
		{"retry.times", "101", "a number from 0 to 100"},
		{"retry.times", "many", "a number from 0 to 100"},
		{"retry.times", "1.5", "a number from 0 to 100"},
		{"retry.interval", "-1s", aDuration},
		{"retry.interval", "x", aDuration},
		{"check", "yes", "true or false"},
		{"check", "2", "true or false"},
		{"registry.group", "/", "the first part of every key, without empty path segments"},
		{"registry.group", "a//b", "without empty path segments"},
		{"registry.namespace", "//", "a key prefix, without empty path segments"},
		{"registry.namespace", "tenants//a", "a key prefix, without empty path segments"},
	} {
		u := registryConfig{address: "127.0.0.1:2379"}.url(t)
		u.SetParam(c.name, c.value)
		s, err := newSettings(u, inRegistry)
		if assert.Error(t, err, "%s=%q was read as %+v", c.name, c.value, s) {
			assert.ErrorContains(t, err, "parameter "+c.name+`="`+c.value+`"`)
			assert.ErrorContains(t, err, "accepted is ")
			assert.ErrorContains(t, err, c.accepted)
		}
	}
}

func TestParametersThatAreNotOursAreLeftAlone(t *testing.T) {
	t.Parallel()
	params := map[string]string{
		"timeout": "soon", "group": "a//b", "namespace": "//", "session.timeout": "x", "retry.period": "x", "registry.ttl": "x",
		"registry.weight": "x", "zone": "??", "simplified": "perhaps", "qos.enable": "yes", "cache-file": "/tmp/x", "": "nameless",
	}
	u := registryConfig{address: "127.0.0.1:2379", params: params}.url(t)
	before := u.String()
	s, err := newSettings(u, inRegistry)
	require.NoError(t, err)
	plain, err := newSettings(registryConfig{address: "127.0.0.1:2379"}.url(t), inRegistry)
	require.NoError(t, err)
	s.Cluster.Retry, plain.Cluster.Retry = nil, nil
	assert.Equal(t, plain, s, "parameters of others changed the settings")
	assert.Equal(t, before, u.String(), "reading the URL changed it")

	_, err = newSettings(registryConfig{address: "etcdv3://127.0.0.1:2379?timeout=soon&unknown=%20&group=a//b"}.url(t), inRegistry)
	assert.NoError(t, err, "parameters of others, behind the address")
}

func TestParametersBehindTheAddressCountUnlessTheyAreConfiguredThemselves(t *testing.T) {
	t.Parallel()
	const address = "etcdv3://a:1?session=60000&registry.group=behind&check=true&backup=b:2,c:3"
	s, err := newSettings(registryConfig{address: address, group: "configured"}.url(t), inRegistry)
	require.NoError(t, err)
	assert.Equal(t, []string{"a:1", "b:2", "c:3"}, s.Cluster.Endpoints)
	assert.Equal(t, time.Minute, s.Cluster.Session)
	assert.True(t, s.Check)
	assert.Equal(t, "/configured", s.root())

	s, err = newSettings(registryConfig{address: address}.url(t), inRegistry)
	require.NoError(t, err)
	assert.Equal(t, "/behind", s.root(), "an empty group in the config is none")

	_, err = newSettings(registryConfig{address: "etcdv3://a:1?session=soon"}.url(t), inRegistry)
	assert.ErrorContains(t, err, `session="soon"`)

	u := registryConfig{address: "a:1"}.url(t)
	u.Location = "etcdv3://a:1?session=%zz"
	_, err = newSettings(u, inRegistry)
	assert.ErrorContains(t, err, `"etcdv3://a:1?session=%zz"`)
	assert.ErrorContains(t, err, `"%zz"`)
}

// waits returns what the policy of the settings waits before each retry.
func waits(s settings) []time.Duration {
	var all []time.Duration
	schedule := s.Cluster.Retry.BackOff()
	for range 200 {
		wait := schedule.NextBackOff()
		if wait == backoff.Stop {
			break
		}
		all = append(all, wait)
	}
	return all
}

func TestThePageOfParametersHasARowForEachOfThem(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/parameters.md")
	require.NoError(t, err)
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows[row[1]] = true
	}
	for _, p := range parameters {
		assert.True(t, rows[p.name], "there is no row for %s", p.name)
		delete(rows, p.name)
	}
	for _, other := range []string{"address", "username", "password", "dynamic", "simplified"} { // read elsewhere
		assert.True(t, rows[other], "there is no row for %s", other)
		delete(rows, other)
	}
	assert.Empty(t, rows, "rows for what is no parameter")
}

func TestOtherExtensionsNameTheSameFieldsInTheirOwnWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		names  dialect
		params map[string]string
	}{
		"metadata report": {inMetadataReport, map[string]string{"metadata-report.group": "g", "metadata-report.namespace": "n", "timeout": "1500"}},
		"config center":   {inConfigCenter, map[string]string{"config-center.group": "g", "config-center.namespace": "n", "config-center.timeout": "1500ms"}},
	} {
		u := registryConfig{address: "a:1"}.url(t)
		for key := range u.CopyParams() {
			u.DelParam(key)
		}
		plain, err := newSettings(u, c.names)
		require.NoError(t, err, name)
		assert.Zero(t, plain.Cluster.Session, "%s: it takes no lease, a registry says how long one is", name)

		for key, value := range c.params {
			u.SetParam(key, value)
		}
		u.SetParam("session", "7s")
		u.SetParam(constant.RegistryGroupKey, "another") // of another extension
		s, err := newSettings(u, c.names)
		require.NoError(t, err, name)
		assert.Equal(t, "/n/g", s.root(), name)
		assert.Equal(t, 1500*time.Millisecond, s.Timeout, name)
		assert.Equal(t, 7*time.Second, s.Cluster.Session, name)
	}
}

func TestTheCacheFileMayBeInTheHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // on Windows
	for file, want := range map[string]string{"~/cache": filepath.Join(home, "cache"), "/x/~/cache": "/x/~/cache", "~cache": "~cache"} {
		s, err := newSettings(registryConfig{address: "a:1", params: map[string]string{"file": file}}.url(t), inRegistry)
		require.NoError(t, err)
		assert.Equal(t, want, s.cachePath("shop"))
	}
}
