// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClusterSurvivesTheLossOfItsLeader(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	client := c.NewClient(nil)
	put(t, client, "key", "value")
	lost := c.Leader()

	lost.Kill()
	leader := c.Leader()

	require.NotEqual(t, lost.Endpoint(), leader.Endpoint())
	require.Contains(t, c.Endpoints(), leader.Endpoint())
	require.Equal(t, "value", get(t, leader.Client(), "key"))
	require.Eventually(t, func() bool {
		_, err := client.Put(deadline(t, brief), "key", "other")
		return err == nil
	}, patience, poll)
	lost.Start()
	require.Equal(t, "other", get(t, lost.Client(), "key"))
}

func TestClusterSurvivesAPausedLeader(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	put(t, c.NewClient(nil), "key", "value")
	paused := c.Leader()

	paused.Pause()
	leader := c.Leader()
	require.NotEqual(t, paused.Endpoint(), leader.Endpoint())
	put(t, leader.Client(), "key", "other")
	paused.Resume()

	require.Equal(t, "other", get(t, paused.Client(), "key"))
}

func TestStoppedClusterStartsTogether(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	put(t, c.NewClient(nil), "key", "value")
	for _, s := range c.Members {
		s.Kill()
	}

	c.Start()

	require.Equal(t, "value", get(t, c.Members[2].Client(), "key"))
}

func TestAllMembersOfAClusterCanBeReplaced(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	put(t, c.NewClient(nil), "key", "value")
	first := c.Endpoints()
	for _, old := range slices.Clone(c.Members) {
		added := c.Add()
		require.Equal(t, "value", get(t, added.Client(), "key"))
		c.Remove(old)
		require.False(t, old.running())
	}
	require.Len(t, c.Members, 3)
	for _, endpoint := range c.Endpoints() {
		require.NotContains(t, first, endpoint)
	}
	client := c.NewClient(nil)
	require.Equal(t, "value", get(t, client, "key"))
	members, err := client.MemberList(deadline(t, patience))
	require.NoError(t, err)
	require.Len(t, members.Members, 3)

	stopped := c.Leader()
	stopped.Kill()
	put(t, c.Leader().Client(), "key", "other")
	stopped.Start()
	require.Equal(t, "other", get(t, stopped.Client(), "key"))
}
