// SPDX-License-Identifier: Apache-2.0

package failback_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// newMembersScene has a cluster of three members; the registries talk to those
// that pick names.
func newMembersScene(t testing.TB, pick ...int) (*etcdtest.Cluster, *scene) {
	t.Helper()
	cluster := etcdtest.StartCluster(t, 3)
	var endpoints []string
	for _, i := range pick {
		endpoints = append(endpoints, cluster.Members[i].Endpoint())
	}
	address := strings.Join(endpoints, ",")
	return cluster, enact(t, cluster.NewClient(testkit.Quickly), newRegistry(t, address), newRegistry(t, address))
}

func TestTheLeaderIsKilled(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0, 1, 2)
	leader := cluster.Leader()
	leader.Kill()
	s.register(3)
	s.unregister(0)
	s.requireExact()
	leader.Start()
	s.requireExact()
	s.requireFollows()
}

// The member that the watches go to loses the others, and its leader with
// them. Without one a watch would stay silent.
func TestTheOnlyMemberTalkedToIsCutOffFromTheOthers(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0)
	cluster.Members[1].Pause()
	cluster.Members[2].Pause()
	s.register(3)
	s.requireKept(ttl * 2)
	cluster.Members[1].Resume()
	cluster.Members[2].Resume()
	s.requireExact()
	s.requireFollows()
}

func TestTheMajorityIsPaused(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0, 1, 2)
	leader := cluster.Leader()
	for _, m := range cluster.Members {
		if m != leader {
			m.Pause()
		}
	}
	s.register(3)
	s.requireKept(ttl * 2)
	for _, m := range cluster.Members {
		if m != leader {
			m.Resume()
		}
	}
	s.requireExact()
	s.requireFollows()
}

// The member that the watches go to falls silent, with its connections open:
// they move to another one.
func TestThePausedMemberOfTheWatchesIsLeft(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0, 1, 2)
	s.history.stop() // it would be counted
	var silent *etcdtest.Server
	testkit.Await(t, testkit.LongPatience, func() bool {
		for _, m := range cluster.Members {
			if m.Metrics().Value(etcdtest.MetricWatchers, nil) > 0 {
				silent = m
			}
		}
		return silent != nil
	}, "no member has watches")
	s.history.follow()
	silent.Pause()
	begin := time.Now()
	s.register(3)
	s.unregister(0)
	s.recorder.requireAddresses(t, s.addresses...)
	t.Logf("the watches had moved after %v", time.Since(begin).Round(time.Millisecond))
	silent.Resume()
	s.requireExact()
	s.requireFollows()
}

func TestAllMembersAreRestartedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0, 1, 2)
	for i, m := range cluster.Members {
		m.Kill()
		s.register(10 + i)
		m.Start()
		s.requireExact()
	}
	s.requireFollows()
}

func TestAllMembersAreKilledForLongerThanTheLeaseLives(t *testing.T) {
	t.Parallel()
	cluster, s := newMembersScene(t, 0, 1, 2)
	for _, m := range cluster.Members {
		m.Kill()
	}
	s.register(3)
	s.unregister(0)
	s.requireKept(ttl * 3 / 2)
	cluster.Start()
	s.requireExact()
	s.requireFollows()
}

// Nobody is left of those that were configured. Members are asked for as others
// of them go.
func TestAllMembersAreReplacedByOthersAtOtherAddresses(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.StartCluster(t, 3)
	address := strings.Join(cluster.Endpoints(), ",")
	client := cluster.NewClient(testkit.Quickly)
	s := enact(t, client, newRegistry(t, address, "endpoints.sync", "true"), newRegistry(t, address, "endpoints.sync", "true"))
	asked := func() (n int) {
		for _, m := range cluster.Members {
			n += m.Metrics().Requests("MemberList")
		}
		return n
	}
	for i, old := range slices.Clone(cluster.Members) {
		cluster.Add()
		before := asked() - old.Metrics().Requests("MemberList")
		cluster.Remove(old) // which asks once
		client.SetEndpoints(cluster.Endpoints()...)
		s.register(10 + i)
		s.requireExact()
		testkit.Await(t, testkit.LongPatience, func() bool { return asked() > before+1 }, "a member is gone, and the others have not been asked for the members")
	}
	s.requireFollows()

	lease := s.lease()
	s.requireKept(ttl * 2)
	require.Equal(t, lease, s.lease(), "the lease lives on")
	leader := cluster.Leader()
	leader.Kill()
	s.register(20)
	s.requireExact()
	leader.Start()
	s.requireFollows()
	s.provider.Destroy() // before the members that were added go
	s.consumer.Destroy()
}

// What is configured is used as well: nothing is lost when etcd advertises what
// nobody reaches, or what refuses connections.
func TestEtcdAdvertisesAddressesThatNobodyReaches(t *testing.T) {
	t.Parallel()
	nobody := etcdtest.Reserve(t)
	etcd := newStore(t, etcdtest.WithFlags("--advertise-client-urls=http://192.0.2.1:2379,"+nobody.URL()))
	near, far := etcdtest.NewProxy(t, etcd.Endpoint()), etcdtest.NewProxy(t, etcd.Endpoint())
	s := enact(t, etcd.client, newRegistry(t, near.Addr(), "endpoints.sync", "true"), newRegistry(t, far.Addr(), "endpoints.sync", "true"))
	s.near, s.far = near, far
	testkit.Await(t, testkit.LongPatience, func() bool { return etcd.Metrics().Requests("MemberList") >= 2 }, "etcd has not been asked for its members by both")
	for range 3 {
		s.requireFollows()
		near.Cut()
		far.Cut()
		near.Restore()
		far.Restore()
	}
	etcd.Kill()
	s.register(3)
	s.requireKept(ttl * 3 / 2)
	etcd.Start()
	s.requireExact()
	s.requireFollows()
}
