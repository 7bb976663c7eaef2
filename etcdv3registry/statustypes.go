// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import "time"

// Snapshot is what Status returns. In JSON times are in RFC 3339, and those that are
// zero are left out.
type Snapshot struct {
	At time.Time `json:"at"`
	// Ready says that all that this process wants in etcd is there, and that all that
	// it follows has been read once. Reasons say why not.
	Ready    bool            `json:"ready"`
	Reasons  []string        `json:"reasons,omitempty"`
	Clusters []ClusterStatus `json:"clusters"`
	// CacheFiles are those that are in use; one may be shared by several registries.
	CacheFiles []CacheFileStatus `json:"cacheFiles"`
	// SkippedKeys is how often a key in etcd, or a part of one, could not be used.
	SkippedKeys uint64 `json:"skippedKeys"`
}

// ClusterStatus is about one etcd, as one user.
type ClusterStatus struct {
	Endpoints  []string         `json:"endpoints"`
	User       string           `json:"user,omitempty"`
	Ready      bool             `json:"ready"`
	Reasons    []string         `json:"reasons,omitempty"`
	Connection ConnectionStatus `json:"connection"`
	Lease      *LeaseStatus     `json:"lease,omitempty"` // nil: there is none
	Keys       KeysStatus       `json:"keys"`
	Mirrors    []MirrorStatus   `json:"mirrors"`   // by prefix
	Listeners  []ListenerStatus `json:"listeners"` // by name
	// OtherHistories is how often etcd was found to be another store than before
	// (emptied, restored), or could not tell.
	OtherHistories uint64 `json:"otherHistories"`
	// Resyncs is how often keys had to be read or put again, by the reason: compacted,
	// another_history, limits, lease_lost, keys_deleted.
	Resyncs  map[string]uint64 `json:"resyncs"`
	Requests []RequestCount    `json:"requests,omitempty"` // that have ended
}

// ConnectionStatus is about the connection to one etcd.
type ConnectionStatus struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"` // it is, or is not; zero: it never was
	// SilentSince is since when etcd owes an answer, more than a second; zero: it owes
	// none.
	SilentSince time.Time     `json:"silentSince,omitzero"`
	InUse       InUse         `json:"inUse"`
	LastError   *RequestError `json:"lastError,omitempty"` // nil: there never was one
}

// InUse is which of etcd's members has answered last, as host:port; empty: none has.
type InUse struct {
	Requests string `json:"requests,omitempty"`
	Watches  string `json:"watches,omitempty"` // on the stream of all watches
	Lease    string `json:"lease,omitempty"`   // on the stream that keeps the lease
}

// RequestError is a request that failed.
type RequestError struct {
	At      time.Time `json:"at"`
	Method  string    `json:"method"` // "Range", or "Connect" for what failed before
	Message string    `json:"message"`
}

// RequestCount is how many requests have ended in one way. A stream (Watch,
// LeaseKeepAlive) is one when it ends.
type RequestCount struct {
	Method string `json:"method"`
	Code   string `json:"code"` // of gRPC: "OK", "Unavailable"
	Count  uint64 `json:"count"`
}

// LeaseStatus is about the lease of all keys of this process on one etcd.
type LeaseStatus struct {
	ID         string    `json:"id"` // in hexadecimal, as etcdctl shows it
	Granted    time.Time `json:"granted"`
	TTLSeconds float64   `json:"ttlSeconds"`
	// RemainingSeconds is how long it lives on if it is not renewed any more, as far as
	// this process knows.
	RemainingSeconds float64 `json:"remainingSeconds"`
	// Unsure says that it was not renewed in time. If etcd was away as well it still
	// has it, and the keys, when it is back.
	Unsure bool `json:"unsure,omitempty"`
}

// KeysStatus is about what this process wants in etcd.
type KeysStatus struct {
	Wanted int `json:"wanted"`
	InEtcd int `json:"inEtcd"` // of those
	// Unregistered is how many keep the process from being ready: those that are not in
	// etcd, but for consumers, which work without.
	Unregistered int `json:"unregistered"`
	// Pending is how many keys differ from what is wanted, those to be deleted included,
	// and are tried again.
	Pending int `json:"pending"`
	// Missing are the names of wanted keys that are neither in etcd nor refused, and
	// Refused those that etcd refuses: the first 100 of each.
	Missing      []string     `json:"missing,omitempty"`
	Refused      []RefusedKey `json:"refused,omitempty"`
	RefusedCount int          `json:"refusedCount"`
	Error        string       `json:"error,omitempty"` // of the last attempt to write; empty: it worked
}

// RefusedKey is a key that etcd refuses. Its name is without parameters, which may
// hold a secret.
type RefusedKey struct {
	Name     string `json:"name"`
	Reason   string `json:"reason"`
	Optional bool   `json:"optional,omitempty"` // it is a consumer's, which works without
}

// MirrorStatus is about one prefix of etcd that this process follows.
type MirrorStatus struct {
	Prefix   string `json:"prefix"`
	KeysOnly bool   `json:"keysOnly,omitempty"` // it is followed without the values
	Read     bool   `json:"read"`               // it has been read once
	Keys     int    `json:"keys"`
	Retained int    `json:"retained,omitempty"` // of those, what another store had and this one lacks, kept for a session
	Bytes    int64  `json:"bytes"`              // of keys and values
	Partial  bool   `json:"partial,omitempty"`  // there is more than is mirrored
	Revision int64  `json:"revision"`           // of etcd, up to which it is known
	// Listeners is how many are told of it.
	Listeners  int       `json:"listeners"`
	LastChange time.Time `json:"lastChange,omitzero"` // when it was read, or changed here, last
	StaleSince time.Time `json:"staleSince,omitzero"` // since when it cannot be followed; zero: it is
	Error      string    `json:"error,omitempty"`     // why
}

// What a listener waits for.
const (
	WaitsForChange    = "a change"         // it knows all that there is
	WaitsForFirstRead = "the first read"   // etcd has not been read yet
	WaitsForStart     = "its subscription" // it has not been told anything
	WaitsForCall      = "its own return"   // it is being called
	WaitsForRetry     = "a retry"          // it has not taken in all that it was told
)

// ListenerStatus is about one who is told of changes.
type ListenerStatus struct {
	Name      string    `json:"name"`               // of what it is told
	WaitsFor  string    `json:"waitsFor"`           // one of the constants
	Pending   int       `json:"pending"`            // keys that have changed since it was told
	Told      time.Time `json:"told,omitzero"`      // when a call has returned last; zero: none has
	CallSince time.Time `json:"callSince,omitzero"` // since when the call is under way; zero: none is
}

// CacheFileStatus is about one local cache file.
type CacheFileStatus struct {
	Path         string    `json:"path"`
	Bytes        int64     `json:"bytes"`
	Saved        time.Time `json:"saved,omitzero"` // by whomever; zero: it is not there, or was not needed yet
	AgeSeconds   float64   `json:"ageSeconds"`     // since then
	Saves        uint64    `json:"saves"`          // by this process
	Failures     uint64    `json:"failures"`
	WrittenBytes uint64    `json:"writtenBytes"`
	Error        string    `json:"error,omitempty"` // why it cannot be saved; empty: it can
}
