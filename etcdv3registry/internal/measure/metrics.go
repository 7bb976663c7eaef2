// SPDX-License-Identifier: Apache-2.0

package measure

// Metric is one that is exported.
type Metric struct {
	Name string
	Help string
	Kind string // gauge, counter or histogram
	// Labels are those besides the application's: each has few values.
	Labels []string
}

var ofCluster = []string{"cluster", "user"}

func gauge(name, help string) Metric {
	return Metric{"dubbo_registry_etcd_" + name, help, "gauge", ofCluster}
}

func counter(name, help string, labels ...string) Metric {
	return Metric{"dubbo_registry_etcd_" + name, help, "counter", labels}
}

// The metrics, other than those that dubbo-go has for all registries.
var (
	Ready          = gauge("ready", "1 if all that is wanted is registered and all that is followed has been read once, else 0")
	Connected      = gauge("connected", "1 if there is a connection to etcd, else 0")
	LeaseRemaining = gauge("lease_remaining_seconds", "How long the lease lives on if it is not renewed any more, 0 without one")
	LeaseTTL       = gauge("lease_ttl_seconds", "How long the lease lives after it was renewed, 0 without one")
	KeysWanted     = gauge("keys_wanted", "Keys that this process wants in etcd")
	KeysInEtcd     = gauge("keys_in_etcd", "Keys that this process wants in etcd, and that etcd has confirmed")
	KeysRefused    = gauge("keys_refused", "Keys that this process wants in etcd, and that etcd refuses")
	RetriesPending = gauge("retries_pending", "Keys that differ in etcd from what this process wants, and are tried again")
	Mirrors        = gauge("mirrors", "Prefixes of etcd that are followed")
	MirrorsUnread  = gauge("mirrors_unread", "Prefixes of etcd that have not been read once")
	MirrorsStale   = gauge("mirrors_stale", "Prefixes of etcd that cannot be followed at the moment")
	MirrorKeys     = gauge("mirror_keys", "Keys under the prefixes that are followed")
	MirrorBytes    = gauge("mirror_bytes", "Bytes of these keys and their values")
	Listeners      = gauge("listeners", "Who is told of changes")
	ListenerBusy   = gauge("listener_busy_seconds", "How long the longest call of a listener has lasted that is under way, 0 if none is")

	WatchLag = Metric{"dubbo_registry_etcd_watch_lag_seconds", "From the receipt of a change until the listener has been told of it", "histogram", ofCluster}
	Resyncs  = counter("resyncs_total", "How often keys were read or put again, by the reason", "cluster", "user", "reason")
	Requests = counter("requests_total", "Requests to etcd that have ended, by the method and gRPC's code", "cluster", "user", "method", "code")

	SkippedKeys   = counter("skipped_keys_total", "Keys in etcd, or parts of them, that could not be used")
	CacheSaves    = counter("cache_saves_total", "How often a cache file was saved")
	CacheFailures = counter("cache_save_failures_total", "How often a cache file could not be saved")
	CacheBytes    = counter("cache_written_bytes_total", "Bytes that were written to cache files")
)

// All returns all of them.
func All() []Metric {
	return []Metric{
		Ready, Connected, LeaseRemaining, LeaseTTL, KeysWanted, KeysInEtcd, KeysRefused, RetriesPending,
		Mirrors, MirrorsUnread, MirrorsStale, MirrorKeys, MirrorBytes, Listeners, ListenerBusy,
		WatchLag, Resyncs, Requests, SkippedKeys, CacheSaves, CacheFailures, CacheBytes,
	}
}
