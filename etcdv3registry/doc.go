// SPDX-License-Identifier: Apache-2.0

// Package etcdv3registry is a registry on etcd for dubbo-go.
//
// Import it for its side effect, and name it in the configuration:
//
//	import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
//
//	dubbo:
//	  registries:
//	    etcd:
//	      protocol: etcdv3
//	      address: 127.0.0.1:2379
//
// It takes the place of the registry, the service discovery and the metadata
// report that dubbo-go has under the same name, whatever the order of the
// imports, and writes the same keys as Dubbo for Java. With the registry type
// interface (org.apache.dubbo.registry.etcd.EtcdRegistry):
//
//	/<group>/<interface>                                     no lease
//	/<group>/<interface>/providers/<encoded provider URL>    under the lease
//	/<group>/<interface>/consumers/<encoded consumer URL>    under the lease
//	/<group>/<interface>/configurators/<encoded override>    read
//	/<group>/<interface>/routers/<encoded route>             read
//
// With the registry type service, which is dubbo-go's default
// (org.apache.dubbo.registry.etcd.EtcdServiceDiscovery, and dubbo-go's metadata
// report on etcd):
//
//	/services/<application>/<host>:<port>                    under the lease, JSON
//	/<group>/mapping/<interface>                             no lease
//	/<group>/<application>/<revision>                        no lease, JSON
//
// It is a config center, too, which dubbo-go does not have on etcd
// (org.apache.dubbo.configcenter.support.etcd.EtcdDynamicConfiguration):
//
//	/<namespace>/config/<group>/<key>                        no lease
//
// All extensions of a process that name the same etcd share one connection, one
// lease and its streams of watches. The parameters are listed in docs/parameters.md.
package etcdv3registry
