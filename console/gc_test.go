// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestGarbageIsShownUnlessItIsToBeDeleted(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), "/dubbo/mapping/com.example.Gone", "gone")

	exit, out := runProgram(t, "gc", "-etcd", etcd.Endpoint(), "-dry-run=false", "-age", "0s", "-grace", "0s")
	require.Equal(t, exitFailed, exit, "no application has an instance")
	require.NotContains(t, out, "deleted   ")
	require.Len(t, testkit.Values(t, etcd.Client(), "/dubbo/"), 1)

	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.1:20000", `{"host":"10.0.0.1","port":20000}`)
	exit, out = runProgram(t, "gc", "-etcd", etcd.Endpoint())
	require.Equal(t, 0, exit, out)
	require.Contains(t, out, "found     /dubbo/mapping/com.example.Gone  (it names gone, without an instance)\n1 found, nothing was deleted")
	require.Len(t, testkit.Values(t, etcd.Client(), "/dubbo/"), 1)

	exit, out = runProgram(t, "gc", "-etcd", etcd.Endpoint(), "-dry-run=false", "-age", "0s", "-grace", "0s")
	require.Equal(t, 0, exit, out)
	require.Contains(t, out, "deleted   /dubbo/mapping/com.example.Gone")
	require.Contains(t, out, "1 deleted, 0 kept, 0 restored")
	require.Empty(t, testkit.Values(t, etcd.Client(), "/dubbo/"))

	testkit.Put(t, etcd.Client(), "/dubbo/mapping/com.example.Greeter", "greeter")
	testkit.Put(t, etcd.Client(), "/dubbo/com.example.Greeter/providers/"+url.QueryEscape("tri://10.0.0.2:20000/com.example.Greeter?application=greeter"), "")
	exit, out = runProgram(t, "gc", "-etcd", etcd.Endpoint())
	require.Equal(t, 0, exit, out)
	require.Contains(t, out, "left      /dubbo/mapping/com.example.Greeter  (the mapping of com.example.Greeter names the application greeter, which has no instance: greeter has providers at interface level)\n0 found")
	require.Contains(t, out, "1 left in any case, for the reasons above")
	_, out = runProgram(t, "doctor", "-etcd", etcd.Endpoint())
	require.Contains(t, out, "-> nothing: console gc leaves it, as greeter has providers at interface level")

	exit, _ = runProgram(t, "gc", "-etcd", etcdtest.Reserve(t).Endpoint())
	require.Equal(t, exitFailed, exit)
}
