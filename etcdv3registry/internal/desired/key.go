// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
)

// Key is a key that should exist.
type Key struct {
	Name string
	// Parent is created together with the first key that names it, without a
	// lease and only if it is absent, and never deleted. Empty: none.
	Parent string
	// Persistent keys have no lease: they outlive the process.
	Persistent bool
	// Value of the key. Empty: the id of its lease in decimal, as Java writes it,
	// or nothing where there is no lease.
	Value string
	// Optional keys are of use to those who look only: that etcd refuses one is not
	// logged here.
	Optional bool
	// Alone is a key that its neighbours have nothing to do with: who may not write it
	// needs the right to it alone, and not to its directory.
	Alone bool
	// Merge, unless nil, says what the key is to hold, as others write it as well.
	// Such a key has none of the above but Name and Alone: it has no lease, and Delete
	// leaves it as it is. That it was put again has it looked at again, unless it
	// was a moment ago, by Fresh.
	Merge Merge
	Fresh time.Duration
}

// leased reports whether the key goes with the lease.
func (k Key) leased() bool { return !k.Persistent && k.Merge == nil }

// id tells apart what is desired. Of one key of etcd several parts may be.
func (k Key) id() string {
	if k.Merge == nil {
		return k.Name
	}
	return k.Name + "\x00" + k.Merge.Part()
}

// guarded reports whether a deletion of the key is to be heard of. Of what is of use
// to those who look only one suffices, which tells of the lease.
func (k Key) guarded() bool { return !k.Optional }

// shared reports whether it is to be heard of what others put into the key, too. What is
// under the lease nobody else puts, as a rule.
func (k Key) shared() bool { return k.Merge != nil || k.Persistent && k.Value != "" }

// isRead reports whether it does not suffice to know that the key is there.
func (k Key) isRead() bool { return k.Persistent || k.Value != "" || k.Merge != nil }

// lacks says how the right to write a key, or to read it, is given; nothing for
// another error.
func (k Key) lacks(right string, err error) string {
	if k.Alone {
		return rights.ToKey(right, k.Name, err)
	}
	return rights.ToPrefix(right, rights.Directory(k.Name), err)
}
