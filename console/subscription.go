// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/url"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/registry"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
)

// subscription is to everything that is registered.
type subscription struct {
	registry registry.Registry
	query    *common.URL
	listener registry.NotifyListener
}

// everything is what dubbo-admin asks a registry for.
const everything = "admin://127.0.0.1/*?interface=*&group=*&version=*&classifier=*&enabled=*&check=false" +
	"&category=providers,consumers,routers,configurators"

// subscribe tells the listener what is registered. It returns at once: while
// etcd is away the registry tries again, and the listener hears nothing.
func subscribe(c config, l registry.NotifyListener) (*subscription, error) {
	query, err := common.NewURL(everything)
	if err != nil {
		return nil, err
	}
	// dubbo-go makes the same of a registry's configuration.
	u := common.NewURLWithOptions(
		common.WithProtocol(etcdv3registry.Protocol),
		common.WithUsername(c.Username),
		common.WithPassword(c.Password),
		common.WithParams(url.Values{
			constant.RegistryGroupKey:     {c.Group},
			constant.RegistryNamespaceKey: {c.Namespace},
			"ca-cert-file":                {c.TLS.TrustedCAFile},
			"tls-cert-file":               {c.TLS.CertFile},
			"tls-key-file":                {c.TLS.KeyFile},
			"tls-server-name":             {c.TLS.ServerName},
		}),
	)
	u.Location = c.Address
	reg, err := extension.GetRegistry(etcdv3registry.Protocol, u)
	if err != nil {
		return nil, err
	}
	if err := reg.Subscribe(query, l); err != nil {
		reg.Destroy()
		return nil, err
	}
	return &subscription{registry: reg, query: query, listener: l}, nil
}

// end has the listener told nothing any more, and closes the connection.
func (s *subscription) end() {
	_ = s.registry.UnSubscribe(s.query, s.listener)
	s.registry.Destroy()
}
