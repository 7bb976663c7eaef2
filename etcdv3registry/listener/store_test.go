// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// etcd is restored from a backup, and the first change after it is to the key
// that was changed first after the backup before.
func TestAnotherValueOfTheSameRevisionIsAChange(t *testing.T) {
	at := func(text string) map[string]entry {
		return map[string]entry{"/a/key": {created: 5, changed: 8, content: &content{value: []byte(text)}}}
	}
	s := newStore(mirrored{prefix: "/a/"})
	f := &Feed{changed: make(chan struct{}, 1)}
	f.views = []*view{s.open(f)}
	s.replace(at("before"), 8, 0)
	require.Len(t, f.Take(), 1)
	s.replace(at("before"), 8, session)
	assert.Empty(t, f.Take(), "nothing has changed")

	s.replace(at("after"), 8, session)
	changes := f.Take()
	require.Len(t, changes, 1)
	assert.Equal(t, "after", string(changes[0].Value))
}
