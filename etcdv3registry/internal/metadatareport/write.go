// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// readAtOnce stays below etcd's --max-txn-ops of 128.
	readAtOnce = 100
	// attempts at a compare-and-swap that others win, before the caller is told:
	// the framework then tries again by itself, a few times.
	attempts = 10
	// conflictSpread, times the number of attempts so far, is the time over which
	// those who contend spread their next ones.
	conflictSpread = 20 * time.Millisecond
)

// holding is what a key was seen to hold.
type holding struct {
	read     bool // else nothing is known yet
	value    string
	exists   bool
	revision int64 // of its last change; 0: it does not exist
}

func holdingOf(kvs []*mvccpb.KeyValue) holding {
	if len(kvs) == 0 {
		return holding{read: true}
	}
	return holding{read: true, value: string(kvs[0].Value), exists: true, revision: kvs[0].ModRevision}
}

// read reads the keys of many wishes at once. If etcd refuses that, as it does
// if one of them must not be read, each is left to write.
func (k *keeper) read(c *cluster.Cluster, wishes []*wish) (map[string]holding, error) {
	if len(wishes) == 1 {
		return nil, nil
	}
	ops := make([]clientv3.Op, 0, len(wishes))
	for _, w := range wishes {
		ops = append(ops, clientv3.OpGet(w.key))
	}
	response, err := k.commit(c, nil, ops, nil)
	switch {
	case retry.CanPass(err), k.ctx.Err() != nil:
		return nil, fmt.Errorf("read %d key(s): %w", len(wishes), err)
	case err != nil:
		return nil, nil
	}
	found := make(map[string]holding, len(wishes))
	for i, r := range response.Responses {
		found[wishes[i].key] = holdingOf(r.GetResponseRange().Kvs)
	}
	return found, nil
}

// write does what a wish takes, unless somebody else has done it: a mapping is
// read, changed and written, if nobody has changed it meanwhile.
func (k *keeper) write(c *cluster.Cluster, w *wish, now holding) error {
	get := []clientv3.Op{clientv3.OpGet(w.key)}
	if !now.read {
		response, err := k.commit(c, nil, get, nil)
		if err != nil {
			return fmt.Errorf("read %s: %w", w.key, err)
		}
		now = holdingOf(response.Responses[0].GetResponseRange().Kvs)
	}
	for attempt := range attempts {
		change := w.change(now.value, now.exists)
		if change == nil {
			return nil
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(w.key), "=", now.revision)
		response, err := k.commit(c, []clientv3.Cmp{unchanged}, []clientv3.Op{*change}, get)
		switch {
		case err != nil:
			return fmt.Errorf("write %s: %w", w.key, err)
		case response.Succeeded:
			return nil
		}
		if !retry.Sleep(k.ctx, rand.N(conflictSpread*time.Duration(attempt+1))) {
			return k.ctx.Err()
		}
		now = holdingOf(response.Responses[0].GetResponseRange().Kvs)
	}
	return fmt.Errorf("write %s: others were quicker %d times: %w", w.key, attempts, report.ErrMappingCASConflict)
}

func (k *keeper) commit(c *cluster.Cluster, ifs []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(k.ctx, k.timeout)
	defer cancel()
	client, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client.Txn(ctx).If(ifs...).Then(then...).Else(otherwise...).Commit()
}
