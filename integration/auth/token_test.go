// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// start runs an etcd on which a user has the rights of a process of this name. The
// client may do all.
func start(t *testing.T, name string, opts ...etcdtest.Option) (*etcdtest.Server, *clientv3.Client) {
	t.Helper()
	etcd := etcdtest.Start(t, opts...)
	prefixes := (&process{name: name}).prefixes()
	root := testkit.EnableAuth(t, etcd, name, prefixes[0])
	for _, prefix := range prefixes[1:] {
		testkit.GrantPrefix(t, root, name, prefix)
	}
	return etcd, root
}

// Some requests find their token over; a stream has the one that it was opened with
// as long as it lives.
func TestTokensThatExpireAreRenewed(t *testing.T) {
	t.Parallel()
	etcd, _ := start(t, "expiring", etcdtest.WithFlags("--auth-token-ttl=2"))
	p := newProcess(t, "expiring", etcd.Endpoint(), testkit.As("expiring", testkit.Password)...)
	p.requireAll(t)
	time.Sleep(4 * time.Second) // idle, for longer than a token lasts
	p.requireAll(t)
	for begun := time.Now(); time.Since(begun) < 3*time.Second; time.Sleep(200 * time.Millisecond) {
		_, err := p.report.GetAppMetadata(p.application(), "1") // busy
		require.NoError(t, err)
	}
	p.requireAll(t)
}

// Each change of a user, a password or a role ends all tokens of this kind at once,
// beside their own end.
func TestSignedTokensAreRenewed(t *testing.T) {
	t.Parallel()
	key := etcdtest.NewCA(t).Issue("jwt")
	etcd, root := start(t, "signed", etcdtest.WithFlags("--auth-token=jwt,sign-method=ES256,ttl=2s,pub-key="+key.CertFile+",priv-key="+key.KeyFile))
	p := newProcess(t, "signed", etcd.Endpoint(), testkit.As("signed", testkit.Password)...)
	p.requireAll(t)
	testkit.GrantPrefix(t, root, "signed", "/another")
	p.requireAll(t)
	time.Sleep(4 * time.Second) // idle, for longer than a token lasts
	p.requireAll(t)
}

// The certificate says who it is: there is no password, and no token.
func TestTheCommonNameOfACertificateIsAUser(t *testing.T) {
	t.Parallel()
	ca := etcdtest.NewCA(t)
	etcd, root := start(t, "certified", etcdtest.WithTLS(ca, true))
	issued := ca.Issue("certified")
	p := newProcess(t, "certified", etcd.Endpoint(), "ca-cert-file", ca.CertFile, "tls-cert-file", issued.CertFile, "tls-key-file", issued.KeyFile)
	p.requireAll(t)
	testkit.GrantPrefix(t, root, "certified", "/another")
	p.requireAll(t)
	etcd.Kill()
	etcd.Start()
	p.requireAll(t)

	stranger := ca.Issue("stranger")
	r := testkit.NewRegistry(t, etcd.Endpoint(), "ca-cert-file", ca.CertFile, "tls-cert-file", stranger.CertFile, "tls-key-file", stranger.KeyFile)
	require.ErrorContains(t, r.Register(testkit.Provider("org.certified.Greeter", testkit.Address(1))), "permission denied")
}
