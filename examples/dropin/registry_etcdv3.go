// SPDX-License-Identifier: Apache-2.0

package main

// Copy this file into the main package of a dubbo-go service, and name the
// registry in its configuration:
//
//	dubbo:
//	  registries:
//	    etcd:
//	      protocol: etcdv3
//	      address: 127.0.0.1:2379
//
// Nothing else changes. It does not matter where among the imports it stands:
// it takes the place of the registry that dubbo-go has under the same name.
import _ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
