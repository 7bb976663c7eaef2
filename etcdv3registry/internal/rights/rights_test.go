// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

func TestARightThatLacksIsNamedOnceWithTheCommand(t *testing.T) {
	err := fmt.Errorf("list: %w", rpctypes.ErrPermissionDenied)
	line := ToPrefix(Read, "/dubbo/a/", err)
	assert.Equal(t, " (the role of this user lacks a right: etcdctl role grant-permission ROLE read --prefix=true /dubbo/a/)", line)
	assert.Equal(t, " (the role of this user lacks a right: etcdctl role grant-permission ROLE readwrite /dubbo/mapping/a)", ToKey(ReadWrite, "/dubbo/mapping/a", err))
	assert.Empty(t, ToPrefix(Read, "/dubbo/", fmt.Errorf("%w%s", err, line)), "it has been said")
	assert.Empty(t, ToKey(Read, "/dubbo/a", rpctypes.ErrAuthFailed))
	assert.Empty(t, ToKey(Read, "/dubbo/a", errors.New("etcd is away")))
	assert.Empty(t, ToKey(Read, "/dubbo/a", nil))
}

func TestADirectoryEndsWithASlash(t *testing.T) {
	for key, want := range map[string]string{"/dubbo/shop/r1": "/dubbo/shop/", "/dubbo/": "/dubbo/", "key": ""} {
		assert.Equal(t, want, Directory(key))
	}
}
