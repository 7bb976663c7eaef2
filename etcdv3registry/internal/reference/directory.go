// SPDX-License-Identifier: Apache-2.0

// Package reference is what a consumer knows of one service at application
// level: which applications serve it (the mapping), their instances, and what
// those serve (the metadata), told to the framework's directory.
//
// The framework (v3.3.2) can do that by itself, for one reference to one
// application. For each mapping that comes late it makes another registry, and
// when a mapping grows another listener beside the one before, with the same
// directory: each tells it all that it knows, and the last one wins. All ask for
// metadata at the same moment, by clients that they share and close for each
// other; what fails is left out, and nobody asks again. A reference that is
// destroyed goes on listening. So here each directory has one subscription, which
// tells it everything, and nobody else does.
//
// Of that, dubbo-go's develop branch (August 2026) asks again for metadata (#3625)
// and subscribes to the applications that a reference names (#3623); a mapping
// that grows still has a listener beside the one before. What this package calls
// is there as it is in v3.3.2.
package reference

import (
	"dubbo.apache.org/dubbo-go/v3/cluster/directory"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/registry"
	frameworks "dubbo.apache.org/dubbo-go/v3/registry/directory"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/invokers"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// Directory is the framework's directory of a reference, subscribed by itself.
type Directory struct {
	*frameworks.ServiceDiscoveryRegistryDirectory
	subscription *subscription
}

var _ directory.Directory = (*Directory)(nil)

// NewDirectory is the framework's factory of directories at application level.
// A registry that discovers services by something else than this project gets the
// framework's own.
func NewDirectory(u *common.URL, r registry.Registry) (directory.Directory, error) {
	plain, err := frameworks.NewServiceDiscoveryRegistryDirectory(u, r)
	if err != nil {
		return nil, err
	}
	d, ours := discoveryOf(r)
	inner, known := plain.(*frameworks.ServiceDiscoveryRegistryDirectory)
	if !ours || !known {
		return plain, nil
	}
	taken := &invokers.Chain{Chain: inner.RouterChain()}
	subscription := newSubscription(discovered{d}, r.GetURL(), u.SubURL, inner.RegistryDirectory, taken)
	inner.SetRouterChain(taken)
	return &Directory{inner, subscription}, nil
}

// discoveryOf returns what a registry of the framework discovers services by.
func discoveryOf(r registry.Registry) (*servicediscovery.Discovery, bool) {
	by, ok := r.(interface {
		GetServiceDiscovery() registry.ServiceDiscovery
	})
	if !ok {
		return nil, false
	}
	d, ok := by.GetServiceDiscovery().(*servicediscovery.Discovery)
	return d, ok
}

// Subscribe has the directory told who serves, from now on until Destroy. It
// returns when it has been told for the first time, or that takes too long.
//
// If etcd is away it goes on with the local cache file, or without, and returns
// nil; with check=true that is an error, and what etcd refuses always is. The
// framework logs it, and goes on; so does the subscription.
func (d *Directory) Subscribe(u *common.URL) error {
	if id, ok := d.subscription.registry.GetNonDefaultParam(constant.RegistryIdKey); ok {
		metadata.AddSubscribeURL(id, u)
	}
	return d.subscription.start()
}

// Destroy ends the subscription, and then the directory, which is not told
// anything any more.
func (d *Directory) Destroy() {
	d.subscription.close()
	if id, ok := d.subscription.registry.GetNonDefaultParam(constant.RegistryIdKey); ok {
		metadata.RemoveSubscribeURL(id, d.subscription.url)
	}
	d.ServiceDiscoveryRegistryDirectory.Destroy()
}
