// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"strconv"
	"testing"

	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// InterfaceLevel runs the benchmarks of a registry.
func InterfaceLevel(b *testing.B, c Contender) {
	logger.SetLoggerLevel("fatal")
	for _, fsync := range []bool{false, true} {
		b.Run("Register/fsync="+onOff(fsync), func(b *testing.B) { register(b, c, fsync) })
		b.Run("RegisterMany/fsync="+onOff(fsync), func(b *testing.B) { registerMany(b, c, fsync) })
	}
	for _, n := range scale.Starts() {
		b.Run("Start/"+strconv.Itoa(n), func(b *testing.B) { start(b, c, n) })
	}
	b.Run("Added", func(b *testing.B) { added(b, c) })
	b.Run("Removed", func(b *testing.B) { removed(b, c) })
	for _, n := range scale.Fleets() {
		b.Run("Fleet/"+strconv.Itoa(n), func(b *testing.B) { benchmarkFleet(b, c, n) })
	}
	b.Run("Recovery/restart", func(b *testing.B) { recoverRestart(b, c) })
	b.Run("Herd", func(b *testing.B) { benchmarkHerd(b, c) })
	if !c.keepsNothing {
		b.Run("Recovery/sessions", func(b *testing.B) { recoverSessions(b, c) })
		b.Run("Recovery/one-key", func(b *testing.B) { recoverKey(b, c) })
		b.Run("Recovery/all-keys", func(b *testing.B) { recoverKeys(b, c) })
	}
}

// ApplicationLevel runs those of a service discovery.
func ApplicationLevel(b *testing.B, c Contender) {
	logger.SetLoggerLevel("fatal")
	b.Run("Register", func(b *testing.B) { registerInstances(b, c) })
	b.Run("GetInstances", func(b *testing.B) { getInstances(b, c) })
	b.Run("Changed", func(b *testing.B) { changed(b, c) })
	b.Run("FirstCall", func(b *testing.B) { firstCall(b, c) })
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// open opens a registry that is destroyed when the benchmark ends.
func open(b *testing.B, c Contender, store Store, params ...string) Registry {
	b.Helper()
	r, err := c.Open(store.Address(), params...)
	if err != nil {
		b.Fatalf("open the registry: %v", err)
	}
	b.Cleanup(r.Destroy)
	return r
}

// noCache is for benchmarks whose registries are not to find what those before
// them have left in a file.
func noCache(params ...string) []string { return append([]string{"file-cache", "false"}, params...) }
