// SPDX-License-Identifier: Apache-2.0

package testkit_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestSecretsAreNoticed(t *testing.T) {
	t.Parallel()
	for line, is := range map[string][2]bool{ // of dubbo-go's, of the registry's
		"nothing":                            {false, false},
		"the user has " + testkit.Password:   {true, true},
		"tri://h/S?token=" + testkit.Token:   {false, true},
		"etcd://u:" + testkit.Password + "@": {true, true},
	} {
		assert.Equal(t, is[0], testkit.HasSecret(line, false), line)
		assert.Equal(t, is[1], testkit.HasSecret(line, true), line)
	}
}
