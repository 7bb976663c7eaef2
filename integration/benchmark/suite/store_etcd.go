// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Etcd is a [Contender]'s Start.
func Etcd(t testing.TB, fsync bool) Store {
	t.Helper()
	options := []etcdtest.Option{etcdtest.WithEveryAddress()}
	if fsync {
		options = append(options, etcdtest.WithFlags("--unsafe-no-fsync=false"))
	}
	server := etcdtest.Start(t, options...)
	return &etcdStore{Server: server, client: server.NewClient(testkit.Quickly)}
}

type etcdStore struct {
	*etcdtest.Server
	client *clientv3.Client
}

func (s *etcdStore) Address() string { return s.Endpoint() }

func (s *etcdStore) Fill(t testing.TB, keys []string) {
	t.Helper()
	for some := range slices.Chunk(keys, 100) {
		puts := make([]clientv3.Op, len(some))
		for i, key := range some {
			puts[i] = clientv3.OpPut(key, "")
		}
		testkit.Do(t, func(ctx context.Context) error {
			_, err := s.client.Txn(ctx).Then(puts...).Commit()
			return err
		})
	}
}

func (s *etcdStore) Put(t testing.TB, key string) { testkit.Put(t, s.client, key, "") }

func (s *etcdStore) Delete(t testing.TB, key string) { testkit.Delete(t, s.client, key) }

func (s *etcdStore) Keys(t testing.TB, path string) (keys []string) {
	t.Helper()
	for _, kv := range testkit.Get(t, s.client, path, clientv3.WithPrefix(), clientv3.WithKeysOnly()).Kvs {
		if kv.Lease != 0 {
			keys = append(keys, string(kv.Key))
		}
	}
	return keys
}

func (s *etcdStore) Requests(t testing.TB) int {
	t.Helper()
	return int(s.Metrics().Value(etcdtest.MetricMessagesReceived, nil))
}

func (s *etcdStore) Restart() { s.Start() }

func (s *etcdStore) RevokeAll(t testing.TB) {
	t.Helper()
	for _, lease := range testkit.Leases(t, s.client) {
		testkit.Revoke(t, s.client, lease)
	}
}

func (s *etcdStore) Observe(t testing.TB, path string) *returns {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, done := &returns{gone: map[string]time.Time{}}, make(chan struct{})
	events := s.client.Watch(ctx, path, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	go func() {
		defer close(done)
		for response := range events {
			for _, e := range response.Events {
				r.note(string(e.Kv.Key), e.Type == clientv3.EventTypeDelete)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

var (
	_ Revoker  = (*etcdStore)(nil)
	_ Observer = (*etcdStore)(nil)
)
