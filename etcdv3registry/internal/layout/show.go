// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"fmt"
	"strings"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
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

// Grant says how a missing right to what is beside a key, or below a prefix, is
// given; nothing for another error.
func Grant(right, key string, err error) string {
	if !retry.Denied(err) {
		return ""
	}
	return fmt.Sprintf(" (the role of this user lacks a right: etcdctl role grant-permission ROLE %s --prefix=true %s)", right, sane.Show(key[:strings.LastIndexByte(key, '/')+1]))
}
