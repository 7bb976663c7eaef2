// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// zones are the files of examples/zones, with other ports, and programs that run
// with them.
type zones struct {
	t       *testing.T
	changes []string // what is different in the files
	etcd    map[string]func() *program
}

func newZones(t *testing.T, registryType string) *zones {
	z := &zones{t: t, changes: []string{
		"20000", freePort(t), "20001", freePort(t),
		"registry-type: interface", "registry-type: " + registryType + "\n      params: {session: 2s}",
	}, etcd: map[string]func() *program{}}
	for zone, port := range map[string]string{"east": "12379", "west": "22379"} {
		other, dir := freePort(t), t.TempDir()
		z.changes = append(z.changes, port, other)
		z.etcd[zone] = func() *program {
			p := start(t, "zones", "-port", other, "-dir", dir)
			p.requireLineFrom(0, "etcd is running at 127.0.0.1:"+other)
			return p
		}
	}
	return z
}

func (z *zones) provider(zone string) *program {
	z.t.Helper()
	p := start(z.t, "provider", "-name", zone, "-config", editedFile(z.t, "zones/provider-"+zone+".yaml", z.changes...))
	p.requireLineFrom(0, "Provider "+zone+" is running")
	return p
}

func TestZonesPreferredFirstAndTheOtherWhenItIsGone(t *testing.T) {
	t.Parallel()
	for _, registryType := range []string{"interface", "service"} {
		t.Run(registryType, func(t *testing.T) {
			t.Parallel()
			z := newZones(t, registryType)
			etcd := z.etcd["east"]()
			z.etcd["west"]()
			z.provider("west")
			east := z.provider("east")
			consumer := start(t, "consumer", "-every", "50ms", "-config", editedFile(t, "zones/consumer-east.yaml", z.changes...))
			consumer.requireLineFrom(0, "this is provider east")

			begin := consumer.printed()
			east.signal(syscall.SIGTERM)
			east.requireEnd()
			consumer.requireLine("this is provider west")
			east = z.provider("east")
			consumer.requireLine("this is provider east")
			back := consumer.printed()

			etcd.signal(syscall.SIGKILL) // the provider is well
			etcd.requireEnd()
			for range 3 {
				consumer.requireLine("this is provider east")
			}
			z.etcd["east"]()
			consumer.requireLine("this is provider east")
			for _, line := range consumer.linesFrom(back) {
				require.NotContains(t, line, "provider west")
			}
			for _, line := range consumer.linesFrom(begin) {
				require.NotContains(t, line, "failed")
			}

			east.signal(syscall.SIGKILL) // until its session has run out, calls fail
			consumer.requireLine("this is provider west")
		})
	}
}
