// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// of dubbo-go, for all registries.
const (
	notifications    = "dubbo_registry_notify_requests_total"
	notificationTime = "dubbo_notify_rt_milliseconds_sum"
	registrations    = "dubbo_registry_register_requests_succeed_total"
	notRegistered    = "dubbo_registry_register_requests_failed_total"
	subscriptions    = "dubbo_registry_subscribe_num_succeed_total"
)

// requireMore waits until a metric of dubbo-go has grown by n since before, and
// checks that it does not grow any more: it is told over a channel.
func requireMore(t *testing.T, name string, before, n float64) {
	t.Helper()
	testkit.Await(t, testkit.Patience, func() bool { return metric(t, name) >= before+n }, "%s is not %v more than %v", name, n, before)
	assert.InDelta(t, before+n, metric(t, name), 0, name)
}

// dubbo-go tells its metrics of some of what a registry does. A later version may tell
// more; then this registry has to tell less. Not in parallel: it is counted for the
// process.
func TestWhatARegistryDoesIsCountedOnceInTheMetricsOfTheFramework(t *testing.T) {
	etcd := etcdtest.Start(t)
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	before := metric(t, registrations)
	require.NoError(t, r.Register(testkit.Provider(service, "127.0.0.1:1")))
	requireMore(t, registrations, before, 1)
	failed := metric(t, notRegistered)
	require.Error(t, r.Register(&common.URL{}))
	requireMore(t, notRegistered, failed, 1)

	before = metric(t, notifications)
	at, err := common.NewURL("registry://"+etcd.Endpoint(), common.WithParamsValue(constant.RegistryKey, "etcdv3"))
	require.NoError(t, err)
	reference := testkit.Consumer(service)
	d := testkit.NewDirectory(t, r, at, reference) // it loads: a list
	requireMore(t, notifications, before, 1)
	require.Positive(t, metric(t, notificationTime))
	subscribed := metric(t, subscriptions)
	require.NoError(t, r.Subscribe(reference, d.(registry.NotifyListener)))
	requireMore(t, subscriptions, subscribed, 1)

	require.NoError(t, r.Register(testkit.Provider(service, "127.0.0.1:2"))) // a change
	requireMore(t, notifications, before, 2)
}
