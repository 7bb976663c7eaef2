// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"strings"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// Show returns what may be shown of a key whose last part is an encoded URL:
// neither its credentials nor its parameters, which may hold a token.
func Show(key string) string {
	key, _, hidden := strings.Cut(key, "%3F")
	if at := strings.LastIndex(key, "%40"); at >= 0 {
		slash := strings.LastIndex(key[:at], "/")
		key = key[:slash+1] + "***" + key[at:]
	}
	if hidden {
		key += "..."
	}
	return sane.Show(key)
}
