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
//	      registry-type: interface
//	      address: 127.0.0.1:2379
//
// It takes the place of the registry that dubbo-go has under the same name,
// whatever the order of the imports, and writes the same keys as Dubbo for
// Java (org.apache.dubbo.registry.etcd.EtcdRegistry):
//
//	/<group>/<interface>                                     no lease
//	/<group>/<interface>/providers/<encoded provider URL>    under the lease
//	/<group>/<interface>/consumers/<encoded consumer URL>    under the lease
//	/<group>/<interface>/configurators/<encoded override>    read
//	/<group>/<interface>/routers/<encoded route>             read
//
// All registries of a process that name the same etcd share one connection, one
// lease and one watch stream. The parameters are listed in the README.
package etcdv3registry
