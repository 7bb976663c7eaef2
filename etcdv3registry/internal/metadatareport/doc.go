// SPDX-License-Identifier: Apache-2.0

// Package metadatareport keeps what application-level discovery needs beside
// the instances: which application serves an interface (the mapping), and what
// an application serves in one revision (its metadata).
//
//	/<group>/mapping/<interface>      names of applications, separated by commas
//	/<group>/<application>/<revision> JSON of info.MetadataInfo
//
// These are the keys of the report that dubbo-go has built in, so that services
// with that one and with this one find each other. With a namespace, which the
// built-in one ignores, all of them begin with /<namespace>.
//
// Dubbo for Java writes neither on etcd: its EtcdMetadataReport leaves
// publishAppMetadata, getAppMetadata, registerServiceAppMapping and
// getServiceAppMapping as MetadataReport has them, where they do nothing (looked
// up in 3.2.0). What it does write, the definitions of single services, is
// under other keys: /<group>/metadata/<interface>/<version>/<group>/<side>/<application>.
// A consumer in Go finds a Java application by provided-by.
//
// No key has a lease: what is published outlives the process, as other
// instances of the application may rely on it.
package metadatareport
