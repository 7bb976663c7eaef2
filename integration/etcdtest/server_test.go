// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestStartedServerStoresKeys(t *testing.T) {
	t.Parallel()
	s := Start(t)

	put(t, s.Client(), "key", "value")

	require.Equal(t, "value", get(t, s.Client(), "key"))
	require.Equal(t, "http://"+s.Endpoint(), s.URL())
	require.Same(t, s.Client(), s.Client())
	require.NotSame(t, s.Client(), s.NewClient(nil))
}

func TestReservedServerRefusesConnectionsUntilStart(t *testing.T) {
	t.Parallel()
	s := Reserve(t)
	_, err := net.Dial("tcp", s.Endpoint())
	require.Error(t, err)
	client := s.Client()

	s.Start()

	require.Empty(t, get(t, client, "key"))
}

func TestStopAndStartKeepTheData(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")
	// An open watch must not hold up the stop.
	s.Client().Watch(t.Context(), "key")

	s.Stop()
	_, err := net.Dial("tcp", s.Endpoint())
	require.Error(t, err)
	s.Start()

	require.Equal(t, "value", get(t, s.Client(), "key"))
}

func TestKillAndStartKeepTheData(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")

	s.Kill()
	_, err := net.Dial("tcp", s.Endpoint())
	require.Error(t, err)
	s.Start()

	require.Equal(t, "value", get(t, s.Client(), "key"))
}

func TestStartWaitsForItsPort(t *testing.T) {
	t.Parallel()
	s := Reserve(t)
	squatter, err := net.Listen("tcp", s.Endpoint())
	require.NoError(t, err)
	t.Cleanup(func() { _ = squatter.Close() })
	s.launch()
	require.ErrorIs(t, s.pollHealth(deadline(t, patience)), errPortTaken)

	require.NoError(t, squatter.Close())
	s.awaitHealthy()

	require.Empty(t, get(t, s.Client(), "key"))
}

func TestWipeLosesDataAndRevision(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")
	put(t, s.Client(), "key", "other")

	s.Wipe()

	require.Empty(t, get(t, s.Client(), "key"))
	require.EqualValues(t, 2, put(t, s.Client(), "key", "new"), "the first revision of a new store")
}

func TestWipeStartsAStoppedServer(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")
	s.Stop()

	s.Wipe()

	require.Empty(t, get(t, s.Client(), "key"))
}

func TestRestoreGoesBackToTheBackup(t *testing.T) {
	t.Parallel()
	s := Start(t)
	ctx := deadline(t, patience)
	lease, err := s.Client().Grant(ctx, 60)
	require.NoError(t, err)
	_, err = s.Client().Put(ctx, "key", "value", clientv3.WithLease(lease.ID))
	require.NoError(t, err)

	s.Backup()
	require.Equal(t, "value", get(t, s.Client(), "key"))
	for _, value := range []string{"later", "last"} {
		put(t, s.Client(), "key", value)
		put(t, s.Client(), "other", value)
		s.Restore()
		require.Equal(t, "value", get(t, s.Client(), "key"))
		require.Empty(t, get(t, s.Client(), "other"))
		alive, err := s.Client().TimeToLive(ctx, lease.ID)
		require.NoError(t, err)
		require.Positive(t, alive.TTL)
	}
}

func TestBackupLeavesAStoppedServerStopped(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")
	s.Kill()
	s.Backup()
	require.False(t, s.running())
	s.Wipe()
	require.Empty(t, get(t, s.Client(), "key"))
	s.Restore()
	require.Equal(t, "value", get(t, s.Client(), "key"))
}

func TestPausedServerAnswersOnlyAfterResume(t *testing.T) {
	t.Parallel()
	s := Start(t)
	put(t, s.Client(), "key", "value")

	s.Pause()
	requireUnanswered(t, s.Client())
	s.Resume()

	require.Equal(t, "value", get(t, s.Client(), "key"))
}

func TestPausedServerCanBeStopped(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Pause()

	s.Stop()

	require.False(t, s.running())
}

func TestCompactCancelsWatchesOfOldRevisions(t *testing.T) {
	t.Parallel()
	s := Start(t)
	first := put(t, s.Client(), "key", "1")
	last := put(t, s.Client(), "key", "2")

	s.Compact(last)

	watch := s.Client().Watch(deadline(t, patience), "key", clientv3.WithRev(first))
	resp := <-watch
	require.ErrorIs(t, resp.Err(), rpctypes.ErrCompacted)
}

func TestLeaseOfOneSecondIsGranted(t *testing.T) {
	t.Parallel()
	s := Start(t)

	lease, err := s.Client().Grant(deadline(t, patience), 1)

	require.NoError(t, err)
	require.EqualValues(t, 1, lease.TTL)
}

func TestFlagsOverrideThePackagesOwn(t *testing.T) {
	t.Parallel()
	s := Start(t, WithFlags("--election-timeout=2000", "--max-txn-ops=1"))

	lease, err := s.Client().Grant(deadline(t, patience), 1)
	require.NoError(t, err)
	require.EqualValues(t, 3, lease.TTL, "one and a half election timeouts")
	_, err = s.Client().Txn(deadline(t, patience)).Then(clientv3.OpGet("a"), clientv3.OpGet("b")).Commit()
	require.ErrorIs(t, err, rpctypes.ErrTooManyOps)
}

func TestTLSServerAcceptsOnlyClientsOfItsAuthority(t *testing.T) {
	t.Parallel()
	s := Start(t, WithTLS(NewCA(t), true))
	put(t, s.Client(), "key", "value")
	require.Equal(t, "https://"+s.Endpoint(), s.URL())

	stranger := s.NewClient(func(cfg *clientv3.Config) { cfg.TLS.Certificates = nil })
	_, err := stranger.Get(deadline(t, brief), "key")

	require.Error(t, err)
}

func TestClientConfigCanBeEdited(t *testing.T) {
	t.Parallel()
	s := Start(t)
	ctx := deadline(t, patience)
	_, err := s.Client().RoleAdd(ctx, "root")
	require.NoError(t, err)
	_, err = s.Client().UserAdd(ctx, "root", "secret")
	require.NoError(t, err)
	_, err = s.Client().UserGrantRole(ctx, "root", "root")
	require.NoError(t, err)
	_, err = s.Client().AuthEnable(ctx)
	require.NoError(t, err)

	root := s.NewClient(func(cfg *clientv3.Config) { cfg.Username, cfg.Password = "root", "secret" })

	put(t, root, "key", "value")
	_, err = s.Client().Get(ctx, "key")
	require.ErrorIs(t, err, rpctypes.ErrUserEmpty)
	s.Kill()
	s.Start() // its health needs no password
}

func TestCommandsOfAShellAreForTheServer(t *testing.T) {
	t.Parallel()
	s := Start(t)
	out := s.Shell("etcdctl put key \"$VALUE\"\netcdctl get key --print-value-only\n", "VALUE=value")
	require.Equal(t, "OK\nvalue\n", out)
	require.Equal(t, "value", get(t, s.Client(), "key"))
}
