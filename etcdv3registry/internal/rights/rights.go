// SPDX-License-Identifier: Apache-2.0

// Package rights says what a user of etcd lacks, and how it is given.
package rights

import (
	"fmt"
	"strings"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// The rights that etcd knows, but for that to write without reading, which is of no
// use here: what is written is also looked for.
const (
	Read      = "read"
	ReadWrite = "readwrite"
)

// ToPrefix is what follows an error of etcd in a line of the log: the command that
// gives the right to what begins with a prefix. It is nothing for another error.
func ToPrefix(right, prefix string, err error) string {
	return lacks(right+" --prefix=true", prefix, err)
}

// ToKey is ToPrefix for one key.
func ToKey(right, key string, err error) string { return lacks(right, key, err) }

func lacks(right, key string, err error) string {
	if !retry.Denied(err) || strings.Contains(err.Error(), grant) {
		return ""
	}
	return fmt.Sprintf(" (the role of this user lacks a right: %s ROLE %s %s)", grant, right, sane.Show(key))
}

const grant = "etcdctl role grant-permission"

// Directory is a key up to its last part, which may be one of many.
func Directory(key string) string { return key[:strings.LastIndexByte(key, '/')+1] }
