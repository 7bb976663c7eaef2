// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
)

// Report is a report.MetadataReport. Its methods may be called from any
// goroutine. Making one costs nothing: it connects with its first use.
type Report struct {
	user *extension.User

	mu       sync.Mutex // guards what follows
	mappings map[string][]*mapping
	undo     func() // ends what BeforeInstance began; nil before the first registration
	usage    *usage // as it was looked at last; nil: it was not
}

var _ report.MetadataReport = (*Report)(nil)

var errNotPublished = errors.New("it has not been published")

// New makes a Report.
func New(cfg extension.Config) *Report {
	return &Report{user: extension.NewUser(cfg, cfg.Timeout, extension.ErrClosed), mappings: map[string][]*mapping{}}
}

// Broken returns a Report that cannot be used: its calls say why.
func Broken(u *common.URL, why error) *Report {
	r := &Report{user: extension.NewUser(extension.Config{URL: u}, 0, why)}
	r.user.End()
	return r
}

// URL returns the URL that the report was made of, without the password.
func (r *Report) URL() *common.URL { return r.user.URL }

// PublishAppMetadata puts the metadata of a revision into etcd, and puts it
// there again if it gets lost with the store.
//
// It waits for etcd at most for the timeout of the configuration. If etcd is
// away it returns nil, logs a warning, and publishes when etcd is back: a
// provider that cannot publish would not start. With check=true that is an error.
// What etcd refuses (permission, credentials) always is.
//
// While a process starts it does not wait, once etcd has taken something from
// this Report: what is published then is written with the mappings, all at once,
// before a Discovery on the same etcd registers its first instance, and what
// becomes of it is an error of that.
func (r *Report) PublishAppMetadata(application, revision string, meta *info.MetadataInfo) error {
	key, err := named(layout.MetadataKey(r.user.Root, application, revision))
	if err != nil {
		return err
	}
	if meta == nil {
		return errors.New("etcdv3 metadata report: there is no metadata")
	}
	snapshot := meta.Snapshot() // the framework goes on changing it
	snapshot.LastUpdatedTime = meta.LastUpdatedTime
	content, err := json.Marshal(&snapshot)
	if err != nil {
		return fmt.Errorf("etcdv3 metadata report: encode the metadata of %s: %w", application, err)
	}
	return r.register("the metadata of "+application, desired.Key{Name: key, Merge: published{string(content)}, Fresh: fresh})
}

// fresh is how long metadata that was seen to be there is taken to be: an
// instance publishes the same once for each service.
const fresh = 10 * time.Second

// register has what is merged into a key written. While an instance is announced
// that waits for that, nobody else does.
func (r *Report) register(name string, key desired.Key) error {
	n := desired.Registration{Slot: key.Name + "\x00" + key.Merge.Part(), Key: key, Name: name}
	register := r.user.Registrations.Register
	announced, err := r.prepares()
	if announced {
		register = r.user.Registrations.RegisterLater
	}
	if err == nil {
		err = register(n)
	}
	switch {
	case errors.Is(err, desired.ErrConflict):
		err = fmt.Errorf("%w: %w", err, report.ErrMappingCASConflict)
		fallthrough
	case err != nil:
		return fmt.Errorf("etcdv3 metadata report: register %s in etcd at %v: %w", name, r.user.Cluster.Endpoints, err)
	}
	return nil
}

// prepares has what is registered later written before an instance is registered,
// and reports whether one is announced.
func (r *Report) prepares() (announced bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.user.Get()
	if err != nil {
		return false, err
	}
	if r.undo == nil {
		r.undo = c.BeforeInstance(r.user.Registrations.Flush)
	}
	return c.Announced(), nil
}

const (
	// metadataPatience is how long GetAppMetadata waits for a revision to appear:
	// when etcd is back, an instance may be there a moment before its metadata,
	// and the framework asks only once.
	metadataPatience = 2 * time.Second
	metadataInterval = 100 * time.Millisecond
)

// GetAppMetadata returns the metadata of a revision. A revision that is not
// there is an error: the framework then asks the provider.
func (r *Report) GetAppMetadata(application, revision string) (*info.MetadataInfo, error) {
	key, err := named(layout.MetadataKey(r.user.Root, application, revision))
	if err != nil {
		return nil, err
	}
	content, err := r.awaitMetadata(key)
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: read %s from etcd at %v: %w%s", key, r.user.Cluster.Endpoints, err, rights.ToPrefix(rights.Read, rights.Directory(key), err))
	}
	meta, err := metadataIn(content)
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: what is in %s is not metadata: %w", key, err)
	}
	return meta, nil
}

// metadataIn reads what somebody wrote. The framework would panic over a
// service that is null.
func metadataIn(content []byte) (*info.MetadataInfo, error) {
	meta := &info.MetadataInfo{}
	if err := json.Unmarshal(content, meta); err != nil {
		return nil, err
	}
	maps.DeleteFunc(meta.Services, func(_ string, s *info.ServiceInfo) bool { return s == nil })
	return meta, nil
}

func (r *Report) awaitMetadata(key string) ([]byte, error) {
	for begun := time.Now(); ; {
		response, err := r.get(key)
		switch {
		case err != nil:
			return nil, err
		case len(response.Kvs) > 0:
			return response.Kvs[0].Value, nil
		case time.Since(begun) > min(metadataPatience, r.user.Timeout) || r.user.Err() != nil:
			return nil, errNotPublished
		}
		time.Sleep(metadataInterval)
	}
}

// ListAppRevisions returns the revisions of an application that are in etcd, and
// when they were published; the framework deletes the old ones.
func (r *Report) ListAppRevisions(application string) ([]report.AppRevision, error) {
	prefix, err := named(layout.MetadataPrefix(r.user.Root, application))
	if err != nil {
		return nil, err
	}
	response, err := r.get(prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: list %s in etcd at %v: %w%s", prefix, r.user.Cluster.Endpoints, err, rights.ToPrefix(rights.Read, prefix, err))
	}
	var revisions []report.AppRevision
	for _, kv := range response.Kvs {
		if revision, ok := layout.RevisionOf(string(kv.Key), prefix); ok {
			revisions = append(revisions, report.AppRevision{Revision: revision, ModifyTime: report.ParseMetadataLastUpdatedTime(kv.Value)})
		}
	}
	return revisions, nil
}

// get reads from etcd, and tries again while etcd is away, until the timeout.
func (r *Report) get(key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	c, err := r.user.Get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.Waiting(r.user.Timeout)
	defer cancel()
	var response *clientv3.GetResponse
	err = c.Ask(ctx, cluster.Impatient, func(ctx context.Context, client *clientv3.Client) (err error) {
		response, err = client.Get(ctx, key, opts...)
		return err
	})
	return response, err
}

// named returns a key, or what its parts lack.
func named(key string, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("etcdv3 metadata report: %w", err)
	}
	return key, nil
}

// Close writes what has not been written yet, ends the listeners, and gives up
// the connection if nobody else in the process uses it. What was published stays
// in etcd. The framework never calls it. Calling it again does nothing.
func (r *Report) Close() error {
	if !r.user.End() {
		return nil
	}
	r.mu.Lock()
	mappings, undo := r.mappings, r.undo
	r.mappings = nil
	r.mu.Unlock()

	for _, all := range mappings {
		for _, m := range all {
			m.Close()
		}
	}
	if undo != nil {
		defer undo()
	}
	return r.user.Close()
}
