// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

// pageSize is how many keys are asked for at once. An answer is 64 MiB at most.
const pageSize = 1000

// Scan reads what is below some prefixes, at one revision. No revision is the one that
// there is; the one that was read is returned.
func Scan(ctx context.Context, client *clientv3.Client, l keys.Layout, revision int64, prefixes ...string) ([]*Entry, int64, error) {
	var entries []*Entry
	for _, prefix := range prefixes {
		end := clientv3.GetPrefixRangeEnd(prefix)
		for from := prefix; ; {
			page, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
			if err != nil {
				return nil, 0, err
			}
			if revision == 0 {
				revision = page.Header.Revision
			}
			for _, kv := range page.Kvs {
				entries = append(entries, &Entry{
					Key: l.Read(string(kv.Key), kv.Value), Value: kv.Value,
					Created: kv.CreateRevision, Changed: kv.ModRevision, Lease: kv.Lease, Puts: kv.Version,
				})
			}
			if !page.More || len(page.Kvs) == 0 {
				break
			}
			from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		}
	}
	return entries, revision, nil
}
