// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	registrations = 1000
	rounds        = 20  // of a benchmark that measures a ratio
	putsPerTxn    = 127 // as the registry has it
)

// BenchmarkRecovery measures how long 1,000 registrations of one process take to
// come back when their lease was revoked: from the moment that the process
// notices, which is as it keeps the lease alive the next time, until all keys
// are in etcd. x-bare compares it with etcd's client alone, which takes a lease
// and puts keys and values of the same sizes, as many in a transaction.
func BenchmarkRecovery(b *testing.B) {
	for name, service := range map[string]func(int) string{
		"1-service":     func(int) string { return "com.example.Greeter" },
		"1000-services": func(i int) string { return fmt.Sprintf("com.example.Greeter%03d", i) },
	} {
		b.Run(name, func(b *testing.B) { benchmarkRecovery(b, service) })
	}
}

func benchmarkRecovery(b *testing.B, service func(int) string) {
	etcd := etcdtest.Start(b)
	client := etcd.Client()
	lost := awaitLog(b, "is lost")
	r := newRegistry(b, etcd.Endpoint(), 3*time.Second)
	var registering sync.WaitGroup
	for i := range registrations {
		registering.Go(func() {
			if err := r.Register(provider(service(i), testkit.Address(i))); err != nil {
				b.Error(err)
			}
		})
	}
	registering.Wait()
	keys, lease := leasedKeys(b, client)
	bare := newBare(b, etcd, keys)

	for b.Loop() {
		var ours, bares []time.Duration
		for range rounds {
			bares = append(bares, bare.recover())

			back := countPuts(b, client, "/dubbo/", registrations)
			testkit.Revoke(b, client, lease)
			begin := <-lost
			ours = append(ours, (<-back).Sub(begin))
			if keys, lease = leasedKeys(b, client); len(keys) != registrations {
				b.Fatalf("%d keys are there, of %d", len(keys), registrations)
			}
		}
		b.ReportMetric(milliseconds(median(ours)), "ms/recovery")
		b.ReportMetric(milliseconds(median(bares)), "bare-ms/recovery")
		b.ReportMetric(float64(median(ours))/float64(median(bares)), "x-bare")
		b.ReportMetric(0, "ns/op") // that of the whole, with the waits in between
	}
}

// bare does with etcd's client alone what the registry has to do.
type bare struct {
	b      *testing.B
	client *clientv3.Client
	keys   []string
	lease  clientv3.LeaseID
}

func newBare(b *testing.B, etcd *etcdtest.Server, keys []string) *bare {
	others := make([]string, len(keys))
	for i, key := range keys {
		others[i] = strings.Replace(key, "/dubbo/", "/other/", 1)
	}
	return &bare{b: b, client: etcd.NewClient(nil), keys: others}
}

func (r *bare) recover() time.Duration {
	r.b.Helper()
	if r.lease != clientv3.NoLease {
		testkit.Revoke(r.b, r.client, r.lease)
	}
	back := countPuts(r.b, r.client, "/other/", len(r.keys))
	begin := time.Now()
	granted, err := r.client.Grant(context.Background(), 600)
	if err != nil {
		r.b.Fatal(err)
	}
	r.lease = granted.ID
	value := strconv.FormatInt(int64(r.lease), 10)
	for keys := range slices.Chunk(r.keys, putsPerTxn) {
		var puts []clientv3.Op
		for _, key := range keys {
			puts = append(puts, clientv3.OpPut(key, value, clientv3.WithLease(r.lease)))
		}
		if _, err := r.client.Txn(context.Background()).Then(puts...).Commit(); err != nil {
			r.b.Fatal(err)
		}
	}
	return (<-back).Sub(begin)
}

// countPuts returns a channel that is sent when n keys have been put.
func countPuts(b *testing.B, client *clientv3.Client, prefix string, n int) <-chan time.Time {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	events := client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithCreatedNotify())
	<-events
	back := make(chan time.Time, 1)
	go func() {
		defer cancel()
		for n > 0 {
			response, ok := <-events
			if !ok {
				b.Errorf("%d keys have not come back", n)
				break
			}
			n -= len(response.Events)
		}
		back <- time.Now()
	}()
	return back
}

// leasedKeys returns the keys of the registry that have a lease, and the lease.
func leasedKeys(b *testing.B, client *clientv3.Client) (keys []string, lease clientv3.LeaseID) {
	b.Helper()
	for _, kv := range testkit.List(b, client, "/dubbo/").Kvs {
		if kv.Lease != 0 {
			keys, lease = append(keys, string(kv.Key)), clientv3.LeaseID(kv.Lease)
		}
	}
	return keys, lease
}

// awaitLog returns a channel that is sent the time of each line of the log that
// has the text.
func awaitLog(b *testing.B, text string) <-chan time.Time {
	times := make(chan time.Time, 100)
	old := logger.GetLogger()
	logger.SetLogger(&logWatcher{text: text, times: times})
	b.Cleanup(func() { logger.SetLogger(old) })
	return times
}

// logWatcher is a logger that writes nothing.
type logWatcher struct {
	logger.Logger
	text  string
	times chan<- time.Time
}

func (l *logWatcher) Warnf(format string, args ...any) {
	if strings.Contains(format, l.text) {
		l.times <- time.Now()
	}
}
func (l *logWatcher) Infof(string, ...any)  {}
func (l *logWatcher) Errorf(string, ...any) {}
func (l *logWatcher) Debugf(string, ...any) {}
func (l *logWatcher) Info(...any)           {}
func (l *logWatcher) Warn(...any)           {}
func (l *logWatcher) Error(...any)          {}
func (l *logWatcher) Debug(...any)          {}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
