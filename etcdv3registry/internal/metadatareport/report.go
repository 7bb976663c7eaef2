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
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Config is what a Report needs.
type Config struct {
	URL     *common.URL // what the framework reads its own parameters from
	Cluster cluster.Config
	Root    string        // what every key begins with: "/dubbo", "/tenant/dubbo"
	Timeout time.Duration // how long a call of the framework waits for etcd
	Check   bool          // fail instead of going on without etcd
	// CachePath returns where the cache file is, or nothing if there is to be
	// none. It is called with the first use. Nil: there is none.
	CachePath  func() string
	SaveAtOnce bool // as cachefile.Config.Immediate
}

// Report is a report.MetadataReport. Its methods may be called from any
// goroutine. Making one costs nothing: it connects with its first use.
type Report struct {
	cfg     Config
	cluster *cluster.User
	cache   *cache

	registrations *desired.Registrations // by id of their keys

	mu       sync.Mutex // guards what follows
	mappings map[string][]*mapping
	undo     func() // ends what BeforeInstance began; nil before the first registration
	closed   bool
}

var _ report.MetadataReport = (*Report)(nil)

var errNotPublished = errors.New("it has not been published")

// New makes a Report.
func New(cfg Config) *Report {
	user := cluster.NewUser(cfg.Cluster)
	return &Report{
		cfg:     cfg,
		cluster: user,
		cache:   &cache{cfg: cfg},
		registrations: desired.NewRegistrations(desired.RegistrationsConfig{
			Use: user.Desired, Timeout: cfg.Timeout, Check: cfg.Check, Endpoints: cfg.Cluster.Endpoints, Closed: cluster.ErrClosed,
		}),
		mappings: map[string][]*mapping{},
	}
}

// URL returns the URL that the report was made of, without the password.
func (r *Report) URL() *common.URL { return r.cfg.URL }

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
	key, err := r.metadataKey(application, revision)
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
	register := r.registrations.Register
	announced, err := r.prepares()
	if announced {
		register = r.registrations.RegisterLater
	}
	if err == nil {
		err = register(n)
	}
	switch {
	case errors.Is(err, desired.ErrConflict):
		err = fmt.Errorf("%w: %w", err, report.ErrMappingCASConflict)
		fallthrough
	case err != nil:
		return fmt.Errorf("etcdv3 metadata report: register %s in etcd at %v: %w", name, r.cfg.Cluster.Endpoints, err)
	}
	return nil
}

// prepares has what is registered later written before an instance is registered,
// and reports whether one is announced.
func (r *Report) prepares() (announced bool, err error) {
	c, err := r.cluster.Get()
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.undo == nil && !r.closed {
		r.undo = c.BeforeInstance(r.registrations.Flush)
	}
	return c.Announced(), nil
}

// UnPublishAppMetadata deletes the metadata of a revision, if it is there. It
// waits for etcd as PublishAppMetadata does.
func (r *Report) UnPublishAppMetadata(application, revision string) error {
	key, err := r.metadataKey(application, revision)
	if err != nil {
		return err
	}
	return r.register("the removal of metadata "+revision+" of "+application, desired.Key{Name: key, Merge: unpublished{}})
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
	key, err := r.metadataKey(application, revision)
	if err != nil {
		return nil, err
	}
	content, err := r.awaitMetadata(key)
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: read %s from etcd at %v: %w%s", key, r.cfg.Cluster.Endpoints, err, rights.ToPrefix(rights.Read, rights.Directory(key), err))
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
		case time.Since(begun) > min(metadataPatience, r.cfg.Timeout) || r.isClosed():
			return nil, errNotPublished
		}
		time.Sleep(metadataInterval)
	}
}

// ListAppRevisions returns the revisions of an application that are in etcd, and
// when they were published; the framework deletes the old ones.
func (r *Report) ListAppRevisions(application string) ([]report.AppRevision, error) {
	prefix, err := layout.MetadataPrefix(r.cfg.Root, application)
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: %w", err)
	}
	response, err := r.get(prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("etcdv3 metadata report: list %s in etcd at %v: %w%s", prefix, r.cfg.Cluster.Endpoints, err, rights.ToPrefix(rights.Read, prefix, err))
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
	c, err := r.cluster.Get()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.Waiting(r.cfg.Timeout)
	defer cancel()
	var response *clientv3.GetResponse
	err = retry.Do(ctx, retry.Backoff(100*time.Millisecond, time.Second), func(ctx context.Context) error {
		client, err := c.Client(ctx)
		if err == nil {
			response, err = client.Get(ctx, key, opts...)
		}
		return err
	})
	return response, err
}

func (r *Report) metadataKey(application, revision string) (string, error) {
	key, err := layout.MetadataKey(r.cfg.Root, application, revision)
	if err != nil {
		return "", fmt.Errorf("etcdv3 metadata report: %w", err)
	}
	return key, nil
}

func (r *Report) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Close writes what has not been written yet, ends the listeners, and gives up
// the connection if nobody else in the process uses it. What was published stays
// in etcd. The framework never calls it. Calling it again does nothing.
func (r *Report) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	mappings, undo := r.mappings, r.undo
	r.mappings = nil
	r.mu.Unlock()

	for _, all := range mappings {
		for _, m := range all {
			m.Close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	err := r.registrations.Close(ctx)
	if undo != nil {
		undo()
	}
	r.cache.close()
	return errors.Join(err, r.cluster.Close(ctx))
}
