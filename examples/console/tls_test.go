// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

func TestEtcdWithTLSIsRead(t *testing.T) {
	t.Parallel()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.ClientAutoTLS, cfg.SelfSignedCertValidity = true, 1
	anywhere := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	peers := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls, cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = anywhere, anywhere, peers, peers
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	<-server.Server.ReadyNotify()

	c := config{
		etcd: server.Clients[0].Addr().String(), group: "dubbo", askEvery: 50 * time.Millisecond,
		tls: transport.TLSInfo{TrustedCAFile: filepath.Join(cfg.Dir, "fixtures", "client", "cert.pem")},
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	askEtcd(ctx, c, func(s etcdStatus, _ string) {
		if s == answers {
			cancel()
		}
	})
	require.ErrorIs(t, ctx.Err(), context.Canceled, "it has not answered")

	c.tls.TrustedCAFile = filepath.Join(t.TempDir(), "none")
	_, err = subscribe(c, newCatalog(time.Now))
	require.ErrorContains(t, err, "ca-cert-file")
}
