// SPDX-License-Identifier: Apache-2.0

// Package cachefile is the local cache file of a registry: what each service's
// addresses were when etcd was last heard of, for a consumer that starts while
// etcd is away.
//
// Place and format are those of Dubbo for Java (AbstractRegistry in
// dubbo-registry-api), so that operators find the file where they know it and
// either side reads what the other wrote: Java properties, a service key
// (group/interface:version) to the full URLs of all categories, separated by
// spaces.
//
//	file := cachefile.Open(path, cachefile.Config{})
//	defer file.Close()
//	file.Set("org.example.Greeter:1.0.0", urls)
//	urls, saved, ok := file.Get("org.example.Greeter:1.0.0")
//
// Nothing that happens to the file is an error to the caller: a cache that
// cannot be read is empty, one that cannot be saved is saved later.
//
// Unlike Java's, a save replaces the file as a whole, under a lock that is
// tried and never waited for, and keeps what other processes have saved. Java
// takes the lock in another way (fcntl on Linux, where flock is used here),
// deletes the lock file after each save, and writes in place what it read when
// it started: with a Java process on the same file nothing that is read here
// is torn unnoticed, but entries may be lost to it until they change again.
package cachefile
