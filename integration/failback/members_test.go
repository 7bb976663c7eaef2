// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package failback_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
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
	return cluster, enact(t, cluster.NewClient(quickly), address, address)
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
	_, ok := eventually(patience, func() bool {
		for _, m := range cluster.Members {
			if m.Metrics().Value(etcdtest.MetricWatchers, nil) > 0 {
				silent = m
			}
		}
		return silent != nil
	})
	require.True(t, ok, "no member has watches")
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
