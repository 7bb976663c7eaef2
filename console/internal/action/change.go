// SPDX-License-Identifier: Apache-2.0

// Package action is what the console can change in etcd: each a key that is put or
// deleted if it is still as it was seen, shown as a command of etcdctl before it is done.
package action

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Change is of one key.
type Change struct {
	Key      string
	Revision int64 // of etcd, in which the key was put last; 0: it does not exist
	Value    string
	Delete   bool
}

// ErrMeanwhile is why a change is not made: the key is not as it was seen.
var ErrMeanwhile = errors.New("the key was changed meanwhile, nothing was done: look again")

// Command is the change as it is typed into a shell. flags name the etcd.
func (c Change) Command(flags string) string {
	op := "del " + quote(c.Key)
	if !c.Delete {
		op = "put " + quote(c.Key) + " " + quote(c.Value)
	}
	return fmt.Sprintf("etcdctl%s txn <<'EOF'\nmod(%s) = \"%d\"\n\n%s\n\n\nEOF", flags, quote(c.Key), c.Revision, op)
}

// quote writes a string as etcdctl reads it in a transaction: Go's syntax.
func quote(s string) string { return strconv.Quote(s) }

// Apply makes the change, or returns ErrMeanwhile.
func (c Change) Apply(ctx context.Context, client *clientv3.Client) (revision int64, err error) {
	op := clientv3.OpDelete(c.Key)
	if !c.Delete {
		op = clientv3.OpPut(c.Key, c.Value)
	}
	response, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Revision)).Then(op).Commit()
	switch {
	case err != nil:
		return 0, err
	case !response.Succeeded:
		return 0, ErrMeanwhile
	}
	return response.Header.Revision, nil
}

// Read returns what a key has, as the start of a change.
func Read(ctx context.Context, client *clientv3.Client, key string) (Change, error) {
	response, err := client.Get(ctx, key)
	if err != nil {
		return Change{}, err
	}
	c := Change{Key: key}
	if len(response.Kvs) > 0 {
		c.Revision, c.Value = response.Kvs[0].ModRevision, string(response.Kvs[0].Value)
	}
	return c, nil
}

// Flags are those of etcdctl that name an etcd; the password is not among them.
func Flags(endpoints []string, username, ca, cert, key string) string {
	var b strings.Builder
	add := func(name, value string) {
		if value != "" {
			b.WriteString(" --" + name + "=" + shellQuote(value))
		}
	}
	scheme := ""
	if ca != "" || cert != "" {
		scheme = "https://"
	}
	urls := make([]string, 0, len(endpoints))
	for _, endpoint := range endpoints {
		urls = append(urls, scheme+endpoint)
	}
	add("endpoints", strings.Join(urls, ","))
	add("user", username)
	add("cacert", ca)
	add("cert", cert)
	add("key", key)
	return b.String()
}

// shellQuote leaves alone what a shell does.
func shellQuote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:,@", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
