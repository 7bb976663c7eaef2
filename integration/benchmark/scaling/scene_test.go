// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// scene is one etcd cluster, and who uses it.
type scene struct {
	t        testing.TB
	etcd     *etcdtest.Cluster
	fleet    *fleet // nil: there is none
	changers []registry.Registry
	changes  int // addresses of providers that came and went
}

// members is how many etcd has.
const members = 3

// newScene starts etcd as an operator has it: with fsync, and etcd's defaults.
func newScene(t testing.TB) *scene {
	t.Helper()
	return &scene{t: t, etcd: etcdtest.StartCluster(t, members, etcdtest.WithEveryAddress(), etcdtest.WithPatience(2*time.Minute), etcdtest.WithFlags(
		"--unsafe-no-fsync=false", "--heartbeat-interval=100", "--election-timeout=1000",
		"--quota-backend-bytes=8589934592", "--auto-compaction-mode=periodic", "--auto-compaction-retention=1h",
	))}
}

// rest is what the fleet costs while nothing happens.
func (s *scene) rest(during time.Duration) load {
	s.t.Helper()
	c := changed{lags: lags{}}
	before := s.after(&c)
	time.Sleep(during)
	return s.after(&c).since(before)
}

// herd is what it takes until all is as it should be after etcd was away.
type herd struct {
	exact    time.Duration // from the moment that all members can serve
	requests float64       // of one process until then, but for keep-alives
	load
	problem string
}

// took is the time until all was as it should be, if it was.
func (h herd) took() string {
	if h.problem != "" {
		return "–"
	}
	return seconds(h.exact)
}

// outage is how long no member runs.
const outage = 3 * time.Second

// loseAndFind kills all members of etcd, starts them again, and has another
// program add a provider of each service.
func (s *scene) loseAndFind() herd {
	s.t.Helper()
	for _, member := range s.etcd.Members {
		member.Kill()
	}
	time.Sleep(outage)
	s.etcd.Start()
	c := changed{lags: lags{}}
	before := s.after(&c)
	h := herd{}
	err := s.addProviders()
	if err == nil {
		err = s.fleet.awaitExact(patience)
	}
	if err == nil {
		err = s.awaitKeys()
	}
	if err != nil {
		h.problem = err.Error()
	}
	end := s.after(&c)
	h.exact, h.load = end.at.Sub(before.at), end.since(before)
	for _, method := range []string{"Txn", "Range", "LeaseGrant", "LeaseTimeToLive", "Watch"} {
		for _, member := range end.members { // they count from 0 since their start
			h.requests += float64(member.Requests(method))
		}
	}
	h.requests /= float64(s.fleet.size)
	return h
}

// perTxn is how many keys the benchmark itself puts in a transaction.
const perTxn = 100

// addProviders puts, for another program, a provider of each service.
func (s *scene) addProviders() error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	client := s.etcd.NewClient(testkit.Quickly)
	defer client.Close()
	var puts []clientv3.Op
	for b := range blocks(s.fleet.size) {
		puts = append(puts, clientv3.OpPut(providerKey(b, addedAddress(s.fleet.rounds, b)), ""))
		if len(puts) == perTxn || b == blocks(s.fleet.size)-1 {
			if _, err := client.Txn(ctx).Then(puts...).Commit(); err != nil {
				return fmt.Errorf("another program could not register a provider of each service: %w", err)
			}
			puts = nil
		}
	}
	s.fleet.rounds++
	return nil
}

// removeProviders takes back what addProviders has put, in all rounds.
func (s *scene) removeProviders() error {
	s.t.Helper()
	client := s.etcd.NewClient(testkit.Quickly)
	defer client.Close()
	for round := range s.fleet.rounds {
		for b := range blocks(s.fleet.size) {
			testkit.Delete(s.t, client, providerKey(b, addedAddress(round, b)))
		}
	}
	s.fleet.rounds = 0
	return s.fleet.awaitExact(patience)
}

// awaitKeys waits until each process has its keys in etcd, under a lease: those of
// its provider and of its references.
func (s *scene) awaitKeys() error {
	s.t.Helper()
	client := s.etcd.NewClient(testkit.Quickly)
	defer client.Close()
	want := s.fleet.size * (1 + references)
	leased := 0
	_, ok := testkit.Poll(patience, 100*time.Millisecond, func() bool {
		leased = 0
		for _, kv := range testkit.Get(s.t, client, "/dubbo/", clientv3.WithPrefix(), clientv3.WithKeysOnly()).Kvs {
			if kv.Lease != 0 {
				leased++
			}
		}
		return leased == want
	})
	if !ok {
		return fmt.Errorf("after %v there are %d keys with a lease, of %d", patience, leased, want)
	}
	return nil
}
