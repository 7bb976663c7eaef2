// SPDX-License-Identifier: Apache-2.0

// Package zookeepertest runs a ZooKeeper server of Debian's package zookeeper for
// a benchmark, as a process of its own that listens at a port of its own. Where
// the package is not installed, whoever wants a server is skipped.
package zookeepertest
