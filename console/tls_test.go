// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/timeline"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

func TestEtcdWithTLSIsRead(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd := etcdtest.Start(t, etcdtest.WithTLS(ca, false))

	c := config{
		Target:   target.Target{Address: etcd.Endpoint(), Group: "dubbo", TLS: transport.TLSInfo{TrustedCAFile: ca.CertFile}},
		askEvery: 50 * time.Millisecond,
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	askEtcd(ctx, c, &timeline.Clock{}, func(s etcdStatus, _ string) {
		if s == answers {
			cancel()
		}
	})
	require.ErrorIs(t, ctx.Err(), context.Canceled, "it has not answered")

	c.TLS.TrustedCAFile = filepath.Join(t.TempDir(), "none")
	_, err := subscribe(c, newCatalog(time.Now))
	require.ErrorContains(t, err, "ca-cert-file")
}
