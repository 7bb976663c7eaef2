// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// settled is how old metadata has to be before it may be removed: a process that
	// starts publishes it before its instance, without a time, and right after that
	// with one.
	settled = time.Hour
	// looked is for how long it is not looked again which revisions are in use. The
	// framework removes all that it does in one go.
	looked = time.Minute
)

// UnPublishAppMetadata removes the metadata of a revision, unless an instance has it, or
// may come to have it: it stays if an instance cannot be read, and if it was published
// within the last hour or without saying when. It is removed only if neither it nor an
// instance has been put since that was looked at.
//
// The framework calls it, once a night and at its start, for what it takes to be of no
// use any more; but between its look and this call a process may have come that was
// rolled back to the revision. What may not be removed stays, which is no error.
func (r *Report) UnPublishAppMetadata(application, revision string) error {
	key, err := named(layout.MetadataKey(r.user.Root, application, revision))
	if err != nil {
		return err
	}
	c, err := r.user.Get()
	if err != nil {
		return fmt.Errorf("etcdv3 metadata report: %w", err)
	}
	ctx, cancel := c.Waiting(r.user.Timeout)
	defer cancel()
	why := "" // it stays
	for again := range 2 {
		var u *usage
		if u, err = r.usageOf(ctx, c, application, again > 0); err == nil {
			why, err = r.removeUnused(ctx, c, key, revision, u)
		}
		if err != nil || why != meanwhile {
			break
		}
	}
	switch {
	case retry.Denied(err):
		why = err.Error()
	case err != nil:
		return fmt.Errorf("etcdv3 metadata report: remove %s from etcd at %v: %w", key, r.user.Cluster.Endpoints, err)
	case why == "": // this process does not put it back
		r.user.Registrations.Forget(desired.Registration{Slot: key + "\x00", Key: desired.Key{Name: key}})
		return nil
	}
	logger.Debugf("[etcdv3] the metadata %s of %s is not removed: %s", revision, application, why)
	return nil
}

// usage is which revisions of an application its instances have.
type usage struct {
	application string
	at          time.Time
	put         int64 // the last revision of etcd in which an instance was put
	revisions   map[string]bool
	unread      string // an instance that cannot be read: it may have any
}

// usageOf looks at the instances, unless it has just done that.
func (r *Report) usageOf(ctx context.Context, c *cluster.Cluster, application string, anew bool) (*usage, error) {
	r.mu.Lock()
	known := r.usage
	r.mu.Unlock()
	if !anew && known != nil && known.application == application && time.Since(known.at) < looked {
		return known, nil
	}
	u := &usage{application: application, at: time.Now(), revisions: map[string]bool{}}
	prefix := layout.InstancePrefix(r.user.Services, application)
	response, err := ask(ctx, c, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		return client.Get(ctx, prefix, clientv3.WithPrefix())
	})
	if err != nil {
		return nil, err
	}
	for _, kv := range response.Kvs {
		u.put = max(u.put, kv.ModRevision)
		if !layout.IsInstance(string(kv.Key), prefix) {
			continue
		}
		var instance struct{ Metadata map[string]string }
		if json.Unmarshal(kv.Value, &instance) != nil {
			u.unread = string(kv.Key)
		}
		u.revisions[instance.Metadata[constant.ExportedServicesRevisionPropertyName]] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage = u
	return u, nil
}

// meanwhile is why metadata stays that is looked at again.
const meanwhile = "somebody has put it, or an instance, meanwhile"

// removeUnused removes metadata, or says why it stays.
func (r *Report) removeUnused(ctx context.Context, c *cluster.Cluster, key, revision string, u *usage) (why string, err error) {
	found, err := ask(ctx, c, func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		return client.Get(ctx, key)
	})
	switch {
	case err != nil || len(found.Kvs) == 0:
		return "", err
	case u.unread != "":
		return "the instance " + u.unread + " cannot be read", nil
	case u.revisions[revision]:
		return "an instance has it", nil
	}
	now := found.Kvs[0]
	published := report.ParseMetadataLastUpdatedTime(now.Value)
	if published == 0 || time.Since(time.UnixMilli(published)) < settled {
		return "it was published lately, or does not say when", nil
	}
	below := layout.InstancePrefix(r.user.Services, u.application)
	done, err := ask(ctx, c, func(ctx context.Context, client *clientv3.Client) (*clientv3.TxnResponse, error) {
		return client.Txn(ctx).If(
			clientv3.Compare(clientv3.ModRevision(key), "=", now.ModRevision),
			clientv3.Compare(clientv3.ModRevision(below), "<", u.put+1).WithPrefix(),
		).Then(clientv3.OpDelete(key)).Commit()
	})
	if err == nil && !done.Succeeded {
		why = meanwhile
	}
	return why, err
}

// ask asks etcd, and again while it is away, until ctx ends.
func ask[T any](ctx context.Context, c *cluster.Cluster, question func(context.Context, *clientv3.Client) (T, error)) (answer T, err error) {
	err = c.Ask(ctx, cluster.Impatient, func(ctx context.Context, client *clientv3.Client) (err error) {
		answer, err = question(ctx, client)
		return err
	})
	return answer, err
}
