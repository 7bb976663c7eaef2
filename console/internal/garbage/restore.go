// SPDX-License-Identifier: Apache-2.0

package garbage

import (
	"context"
	"slices"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

// restored puts a piece back if somebody needs it, and says whether that is done with.
func (c *collector) restored(ctx context.Context, w *world.World, p *Piece) (done bool) {
	var err error
	var needed bool
	switch p.Kind {
	case world.GoneMapping:
		names := slices.DeleteFunc(slices.Clone(p.Names), func(name string) bool { return !w.Alive(name) })
		if needed = len(names) > 0; needed {
			err = c.merge(ctx, p.Key, names)
			p.Names = slices.DeleteFunc(p.Names, func(name string) bool { return slices.Contains(names, name) })
			done = len(p.Names) == 0
		}
	case world.GoneMetadata:
		a := w.Applications[p.applications[0]]
		if needed = a != nil && a.Uses(p.Key[strings.LastIndexByte(p.Key, '/')+1:]); needed {
			done, err = true, c.putBack(ctx, p)
		}
	case world.EmptyService:
		i := w.Interfaces[strings.TrimPrefix(p.Key, c.layout.Root+"/")]
		if needed = i != nil && i.Entries() > 0; needed {
			done, err = true, c.putBack(ctx, p)
		}
	}
	switch {
	case err != nil:
		c.failed = true
		c.Tell(Failed, p, "it is needed, and could not be put back: "+err.Error())
	case needed:
		c.Tell(Restored, p, "somebody came who needs it")
	}
	return done
}

// putBack puts a key back, unless its owner has.
func (c *collector) putBack(ctx context.Context, p *Piece) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(p.Key), "=", 0)).Then(clientv3.OpPut(p.Key, p.value)).Commit()
	return err
}

// merge puts names back into a mapping, as a registry does.
func (c *collector) merge(ctx context.Context, key string, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		now, err := c.client.Get(ctx, key)
		if err != nil {
			return err
		}
		var revision int64
		var value string
		if len(now.Kvs) > 0 {
			revision, value = now.Kvs[0].ModRevision, string(now.Kvs[0].Value)
		}
		merged := value
		for _, name := range names {
			merged, _ = report.MergeServiceAppMapping(merged, name)
		}
		if merged == value {
			return nil
		}
		response, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, merged)).Commit()
		if err != nil || response.Succeeded {
			return err
		}
	}
}
