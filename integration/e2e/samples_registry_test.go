// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// sampleProvider is an instance of an application.
func sampleProvider(t *testing.T, etcd *etcdtest.Server, what sample, name, application string, services ...service) spec {
	return spec{
		Name:        name,
		Application: application,
		Sample:      what,
		Registries:  []registrySpec{{Address: etcd.Endpoint(), Type: byDefault}},
		Address:     hostAddress(t),
		Services:    services,
	}
}

func sampleConsumer(etcd *etcdtest.Server, what sample, services ...service) spec {
	return spec{
		Name:       "caller",
		Sample:     what,
		Registries: []registrySpec{{Address: etcd.Endpoint(), Type: byDefault}},
		References: services,
	}
}

// hostAddress is where a sample is registered that is given a port.
func hostAddress(t *testing.T) string {
	return net.JoinHostPort(hostIP(), strconv.Itoa(portOf(address(t))))
}

// awaitSample waits until a consumer, which starts before or after its
// providers, calls whom the view says, from now on without a failure. If it is
// the last to start none of its calls may have failed.
func awaitSample(t *testing.T, c *process, v view) {
	t.Helper()
	awaitView(t, c, v)
	if strings.HasSuffix(t.Name(), "ConsumerFirst") {
		c.reset()
	}
	awaitView(t, c, v)
	requireNoFailure(t, c)
}

// replace stops a provider and starts it again, at the same address.
func replace(t *testing.T, etcd *etcdtest.Server, p *process) *process {
	t.Helper()
	p.terminate()
	p.awaitEnd()
	p = start(t, p.spec)
	awaitInstance(t, etcd, p)
	return p
}

func TestEtcdSample(t *testing.T) {
	t.Parallel()
	inBothOrders(t, func(_ *testing.T, etcd *etcdtest.Server) spec {
		return sampleConsumer(etcd, plainConsumer, greet)
	}, func(t *testing.T, etcd *etcdtest.Server) []spec {
		return []spec{sampleProvider(t, etcd, plainProvider, "a", "greeting", greet)}
	}, func(t *testing.T, etcd *etcdtest.Server, c *process, ps []*process) {
		a := ps[0]
		awaitSample(t, c, of(c.References, a))
		b := start(t, sampleProvider(t, etcd, plainProvider, "b", "greeting", greet))
		awaitView(t, c, of(c.References, a, b))
		a.terminate()
		a.awaitEnd()
		awaitView(t, c, of(c.References, b))
		a = start(t, a.spec) // at the same address
		awaitView(t, c, of(c.References, a, b))
		requireNoFailure(t, c)

		for _, p := range []*process{a, b} { // which ends the whole program, as it does the sample
			p.terminate()
			p.awaitEnd()
		}
		assert.Empty(t, instances(t, etcd, "greeting"))
		assert.Empty(t, testkit.Leases(t, etcd.Client()))
	})
}

// Those of Java interoperability, java_interop/service_discovery/service and
// interface, which have two services.
func TestServiceDiscoverySamples(t *testing.T) {
	t.Parallel()
	for level, typ := range map[string]registryType{"by application": byDefault, "by interface": byInterface} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			etcd := etcdtest.Start(t)
			services := numbered(2)
			at := func(s spec) spec {
				s.Registries[0].Type = typ
				return s
			}
			registered := func(ps ...*process) {
				t.Helper()
				if typ != byInterface {
					awaitInstances(t, etcd, "interop", len(ps))
					return
				}
				for _, s := range services {
					awaitProviders(t, etcd, s, ps...)
				}
			}
			a := start(t, at(sampleProvider(t, etcd, plainProvider, "a", "interop", services...)))
			b := start(t, at(sampleProvider(t, etcd, plainProvider, "b", "interop", services...)))
			registered(a, b)
			c := start(t, at(sampleConsumer(etcd, plainConsumer, services...)))
			awaitReady(t, c)
			awaitSample(t, c, of(services, a, b))
			a.terminate()
			a.awaitEnd()
			registered(b)
			awaitView(t, c, of(services, b))
			a = start(t, a.spec)
			awaitView(t, c, of(services, a, b))
			requireNoFailure(t, c)
		})
	}
}
