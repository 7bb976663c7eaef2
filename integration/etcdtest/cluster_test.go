// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
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
