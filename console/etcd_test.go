// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/timeline"
)

func TestEtcdThatRefusesIsToldFromOneThatIsAway(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	etcd := newEtcd(t)
	requireStatus := func(want etcdStatus, username, password string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c := config{Target: target.Target{Address: etcd.address(), Group: "dubbo", Username: username, Password: password}, askEvery: 50 * time.Millisecond}
		askEtcd(ctx, c, &timeline.Clock{}, func(s etcdStatus, reason string) {
			require.NotContains(t, reason, secret)
			require.Equal(t, s == refuses, reason != "", "a refusal has a reason: %q", reason)
			if s == want {
				cancel()
			}
		})
		require.ErrorIs(t, ctx.Err(), context.Canceled, "etcd has not become %q", want)
	}

	requireStatus(silent, "", "")
	requireStatus(silent, "root", secret)
	etcd.Start()
	requireStatus(answers, "", "")

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := etcd.Client().UserAdd(ctx, "root", secret)
	require.NoError(t, err)
	_, err = etcd.Client().UserGrantRole(ctx, "root", "root")
	require.NoError(t, err)
	_, err = etcd.Client().AuthEnable(ctx)
	require.NoError(t, err)
	requireStatus(refuses, "", "")
	requireStatus(refuses, "root", "wrong")
	requireStatus(answers, "root", secret)
}
