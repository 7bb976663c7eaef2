// SPDX-License-Identifier: Apache-2.0

// Package testkit has what the integration tests of several packages share: how
// they wait, the URLs and the registries that they make as the framework does,
// listeners that keep what they were told, and what they do to etcd by hand.
// The servers themselves are of package etcdtest.
//
// It links no registry: a package of tests says which one it is about.
package testkit
