// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/etcdfake"
)

// word is to be among those in a key.
type word string

func (w word) Part() string { return string(w) }

func (w word) Apply(now Content, _ bool) Content {
	switch words := strings.Split(now.Value, ","); {
	case !now.Exists:
		return Content{string(w), true}
	case slices.Contains(words, string(w)):
		return now
	default:
		return Content{now.Value + "," + string(w), true}
	}
}

// text is to be in a key: once instead of what is there, and then if nothing is.
type text string

func (text) Part() string { return "" }

func (w text) Apply(now Content, first bool) Content {
	if now.Exists && !first {
		return now
	}
	return Content{string(w), true}
}

// nothing is to be there.
type nothing struct{}

func (nothing) Part() string { return "" }

func (nothing) Apply(Content, bool) Content { return Content{} }

func wordOf(i int, w string) Key { return Key{Name: fmt.Sprintf("k%d", i), Merge: word(w)} }

func wordsOf(n int, w string) (keys []Key) {
	for i := range n {
		keys = append(keys, wordOf(i, w))
	}
	return keys
}

// together puts keys in one moment, and returns what becomes of each.
func together(t *testing.T, r *Reconciler, keys ...Key) []error {
	t.Helper()
	var changes []*Change
	r.mu.Lock()
	for _, key := range keys {
		changes = append(changes, r.changeLocked(r.wantLocked(key)))
	}
	r.mu.Unlock()
	errs := make([]error, len(keys))
	for i, c := range changes {
		errs[i] = wait(t, c)
	}
	return errs
}

func requireNone(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func requireAll(t *testing.T, e *etcdfake.Etcd, n int, want string) {
	t.Helper()
	held := e.Keys("")
	for i := range n {
		require.Equal(t, want, held[fmt.Sprintf("k%d", i)], "k%d", i)
	}
}

// beforeEach calls f before each transaction.
func beforeEach(e *etcdfake.Etcd, f func()) {
	e.Set(func(e *etcdfake.Etcd) {
		e.Fail = func(method string, _ []string) error {
			if method == "Txn" {
				f()
			}
			return nil
		}
	})
}
