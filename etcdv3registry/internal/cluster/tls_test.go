// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// authority signs certificates, and writes them to files of a directory.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	lives  time.Duration // of the certificates; 0: an hour
	trusts *authority    // for certificates of clients; nil: itself
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key = a.sign("ca", a.cert)
	return a
}

// sign writes name.pem and name.key.
func (a *authority) sign(name string, cert *x509.Certificate) *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	by := a.key
	if by == nil {
		by = key
	}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(cmp.Or(a.lives, time.Hour))
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), by)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name string, content []byte) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(a.file(name), content, 0o600))
}

// serving is a server with a certificate for a name, which asks for the client's.
func (a *authority) serving(name string) *server {
	return serve(a.t, &server{}, a.credentials(name))
}

// credentials are those of a server.
func (a *authority) credentials(name string) grpc.ServerOption {
	a.sign("server", &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "etcd"}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	own, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	require.NoError(a.t, err)
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(cmp.Or(a.trusts, a).file("ca.pem"))
	require.NoError(a.t, err)
	require.True(a.t, pool.AppendCertsFromPEM(pem))
	return grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
}

func (a *authority) clientCertificate(serial int64) {
	a.sign("client", &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func TestBothSidesProveWhoTheyAre(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	a.clientCertificate(3)
	s := a.serving("etcd.example.com")
	right := TLS{Enabled: true, CA: a.file("ca.pem"), Cert: a.file("client.pem"), Key: a.file("client.key"), ServerName: "etcd.example.com"}
	require.NoError(t, get(t.Context(), using(t, Config{Endpoints: []string{s.address}, TLS: right})))

	for reason, change := range map[string]func(*TLS){
		"valid for etcd.example.com, not etcd2.example.com": func(c *TLS) { c.ServerName = "etcd2.example.com" },
		"cannot validate certificate for 127.0.0.1":         func(c *TLS) { c.ServerName = "" },
		"signed by unknown authority":                       func(c *TLS) { c.CA = stranger.file("ca.pem") },
		"":                                                  func(c *TLS) { c.Cert, c.Key = "", "" },
		"read the TLS files (ca-cert-file=\"/none.pem\"": func(c *TLS) { c.CA = "/none.pem" },
	} {
		wrong := right
		change(&wrong)
		err := get(t.Context(), using(t, Config{Endpoints: []string{s.address}, TLS: wrong}))
		require.Error(t, err)
		assert.ErrorContains(t, err, reason) // that there is no certificate of its own is said by etcd, if that is heard
	}
}

func TestTLSFilesThatCannotBeUsedSaySoBeforeAnybodyConnects(t *testing.T) {
	a := newAuthority(t)
	a.clientCertificate(3)
	a.write("empty.pem", nil)
	a.write("encrypted.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	a.lives = -time.Minute
	a.sign("expired", &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "client"}})
	right := TLS{Enabled: true, CA: a.file("ca.pem"), Cert: a.file("client.pem"), Key: a.file("client.key")}
	require.NoError(t, right.Check())
	require.NoError(t, TLS{Enabled: true}.Check(), "the system's roots")
	for reason, change := range map[string]func(*TLS){
		"no such file or directory":              func(c *TLS) { c.CA = a.file("other.pem") },
		"there is no certificate in the CA file": func(c *TLS) { c.CA = a.file("empty.pem") },
		"tls-key-file go together":               func(c *TLS) { c.Key = "" },
		"has expired on":                         func(c *TLS) { c.Cert, c.Key = a.file("expired.pem"), a.file("expired.key") },
		"the key is encrypted":                   func(c *TLS) { c.Key = a.file("encrypted.key") },
		"is no file":                             func(c *TLS) { c.CA = a.dir },
		"private key does not match public key":  func(c *TLS) { c.Key = a.file("ca.key") },
	} {
		wrong := right
		change(&wrong)
		err := wrong.Check()
		require.ErrorContains(t, err, reason)
		assert.ErrorContains(t, err, wrong.String())
	}
}

// presented is the serial number of the certificate that the next handshake uses.
func presented(t *testing.T, files TLS) int64 {
	t.Helper()
	config, err := files.Config()
	require.NoError(t, err)
	return config.Certificates[0].Leaf.SerialNumber.Int64()
}

func TestARenewedCertificateIsUsedAndOneThatIsBeingReplacedIsNotMissed(t *testing.T) {
	log, a := logtest.Record(t), newAuthority(t)
	a.lives = 30 * 24 * time.Hour
	a.clientCertificate(3)
	files := TLS{Enabled: true, CA: a.file("ca.pem"), Cert: a.file("client.pem"), Key: a.file("client.key")}
	assert.EqualValues(t, 3, presented(t, files))
	require.NoError(t, os.Remove(a.file("client.pem")))
	assert.EqualValues(t, 3, presented(t, files))
	assert.EqualValues(t, 3, presented(t, files))
	require.NoError(t, files.Check(), "for who comes now")
	lines := log.Take()
	require.Len(t, lines, 1, "told once")
	assert.Contains(t, lines[0], "WARN [etcdv3] the TLS files ("+files.String()+") cannot be used any more, going on with what was in them last: ")
	a.clientCertificate(4)
	assert.EqualValues(t, 4, presented(t, files))
	assert.EqualValues(t, 4, presented(t, files))
	assert.Equal(t, []string{"INFO [etcdv3] the TLS files (" + files.String() + ") can be used again"}, log.Take())
	require.NoError(t, os.WriteFile(a.file("ca.pem"), []byte("half of"), 0o600))
	assert.EqualValues(t, 4, presented(t, files))
	assert.Len(t, log.Take(), 1)
}

// The authority is replaced: a bundle of both is written first, then etcd gets a
// certificate of the new one.
func TestANewAuthorityNeedsNoRestart(t *testing.T) {
	older, newer := newAuthority(t), newAuthority(t)
	s := older.serving("etcd.example.com")
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	write := func(all ...*authority) {
		var content []byte
		for _, a := range all {
			one, err := os.ReadFile(a.file("ca.pem"))
			require.NoError(t, err)
			content = append(content, one...)
		}
		require.NoError(t, os.WriteFile(bundle, content, 0o600))
	}
	write(older)
	older.clientCertificate(3)
	files := TLS{Enabled: true, CA: bundle, Cert: older.file("client.pem"), Key: older.file("client.key"), ServerName: "etcd.example.com"}
	c := using(t, Config{Endpoints: []string{s.address}, TLS: files})
	require.NoError(t, get(t.Context(), c))
	write(older, newer)
	newer.trusts = older
	s.grpc.Stop()
	l, err := net.Listen("tcp", s.address)
	require.NoError(t, err)
	s.serveOn(t, l, newer.credentials("etcd.example.com"))
	require.Eventually(t, func() bool { return get(t.Context(), c) == nil }, 20*time.Second, 20*time.Millisecond)
}

func TestACertificateThatExpiresIsToldOnceADay(t *testing.T) {
	log, a := logtest.Record(t), newAuthority(t)
	a.lives = 3 * 24 * time.Hour
	a.clientCertificate(3)
	files := TLS{Enabled: true, Cert: a.file("client.pem"), Key: a.file("client.key")}
	presented(t, files)
	presented(t, files)
	lines := log.Take()
	require.Len(t, lines, 1)
	assert.Contains(t, lines[0], "WARN [etcdv3] the certificate in tls-cert-file="+strconv.Quote(files.Cert)+" expires on ")
}
