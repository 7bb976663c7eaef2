// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"os"
	"strconv"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// endpoints returns where the child serves, by the ids that its protocols have.
func (s spec) endpoints() map[string]endpoint {
	all := map[string]endpoint{}
	if s.Address != "" {
		all[triple.name()] = endpoint{Protocol: triple, Address: s.Address}
	}
	for i, e := range s.Also {
		id := e.Protocol.name()
		if _, taken := all[id]; taken {
			id += strconv.Itoa(i)
		}
		all[id] = e
	}
	return all
}

func (e endpoint) option(id string) (dubbo.InstanceOption, error) {
	ip, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	if e.Protocol == hessian && e.Only {
		return dubbo.WithProtocol(protocol.WithDubbo(), protocol.WithID(id), protocol.WithIp(ip), protocol.WithPort(n)), nil
	}
	if e.Protocol == hessian {
		// At all addresses: dubbo-go serves the local metadata there, too, at this port.
		return dubbo.WithProtocol(protocol.WithDubbo(), protocol.WithID(id), protocol.WithPort(n)), os.Setenv(constant.DubboIpToRegistryKey, ip)
	}
	return dubbo.WithProtocol(protocol.WithTriple(), protocol.WithID(id), protocol.WithIp(ip), protocol.WithPort(n)), nil
}

// idsFor returns the ids of the protocols that a service is served with.
func (s spec) idsFor(one service) []string {
	var ids []string
	for id, e := range s.endpoints() {
		if e.Protocol == one.Protocol && (one.At == "" || one.At == e.Address) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *child) serve(instance *dubbo.Instance) error {
	srv, err := instance.NewServer()
	if err != nil {
		return err
	}
	for _, s := range c.Services {
		ids := c.idsFor(s)
		opts := []server.ServiceOption{
			server.WithGroup(s.Group),
			server.WithVersion(s.Version),
			// server.WithProtocolIDs of v3.3.2 takes none.
			func(o *server.ServiceOptions) { o.Service.ProtocolIDs = ids },
		}
		greeter := Greeter{name: c.Name, service: s, delay: c.Delay}
		if s.Protocol == triple {
			err = srv.Register(&greeter, s.serverInfo(), opts...)
		} else {
			err = srv.Register(&PlainGreeter{greeter}, nil, append(opts, server.WithInterface(s.Interface))...)
		}
		if err != nil {
			return err
		}
	}
	if err := srv.Serve(); err != nil {
		return err
	}
	select {} // until dubbo-go has ended the process
}
