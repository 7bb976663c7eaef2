// SPDX-License-Identifier: Apache-2.0

// Package configcenter keeps configuration and rules in etcd, under the keys of
// Dubbo for Java (org.apache.dubbo.configcenter.support.etcd.EtcdDynamicConfiguration):
//
//	/<namespace, default dubbo>/config/<group, default dubbo>/<key>
//
// The framework uses it in two ways:
//
//   - a service that starts reads its configuration: GetProperties of the data id,
//     in the group of the config center's configuration, and then AddListener;
//   - routers and directories read rules, and are told of their changes:
//     AddListener, and then GetRule, without a group or with the group dubbo. No
//     group is therefore the group dubbo, whatever group is configured, as it is
//     in Java.
//
// A key that does not exist, and one that holds nothing but white space, is no
// configuration: "" without an error, and deleted to a listener.
package configcenter
