// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
)

func TestUserNameAndPasswordAreThoseOfTheConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config             registryConfig
		username, password string
	}{
		"none":       {registryConfig{address: "a:1"}, "", ""},
		"configured": {registryConfig{address: "a:1", username: "root", password: "p@ss:w,rd/?#%"}, "root", "p@ss:w,rd/?#%"},
	} {
		s, err := newSettings(c.config.url(t), inRegistry)
		if assert.NoError(t, err, name) {
			assert.Equal(t, c.username, s.Cluster.Username, name)
			assert.Equal(t, c.password, s.Cluster.Password, name)
		}
	}
}

// dubbo-go keeps what is before the @ of an address with a scheme from the
// location, but not from the name of the client.
func TestCredentialsInAnAddressAreRefusedWithAHint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]registryConfig{
		"in the address":               {address: "root:SECRET@a:1"},
		"in an address with a scheme":  {address: "etcdv3://root:SECRET@a:1"},
		"before one of many addresses": {address: "b:2,root:SECRET@a:1"},
		"beside those configured":      {address: "root:SECRET@a:1", username: "alice", password: "other"},
		"a user name alone":            {address: "root@a:1", username: "root", password: "SECRET"},
		"in backup":                    {address: "a:1", params: map[string]string{constant.BackupKey: "root:SECRET@b:2"}},
	} {
		for kind, dialect := range map[string]dialect{"registry": inRegistry, "metadata report": inMetadataReport, "config center": inConfigCenter} {
			_, err := newSettings(c.url(t), dialect)
			assert.ErrorIs(t, err, errCredentials, "%s, %s", name, kind)
		}
	}
	report := metadataReports{}.CreateMetadataReport(registryConfig{address: "root:SECRET@a:1"}.url(t))
	assert.NotContains(t, report.URL().String(), "SECRET")
}

func TestHalfOfTheCredentialsIsAnErrorThatSaysWhichHalf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config registryConfig
		want   string
	}{
		{registryConfig{address: "a:1", username: "root"}, "a user name is configured without a password"},
		{registryConfig{address: "a:1", password: "SECRET"}, "a password is configured without a user name"},
		{registryConfig{address: "a:1", params: map[string]string{"password-file": fileOf(t, "SECRET")}}, "a password is configured without a user name"},
		{registryConfig{address: "a:1", username: "root", password: "SECRET", params: map[string]string{"password-file": fileOf(t, "SECRET")}}, "one is enough"},
		{registryConfig{address: "a:1", username: "root", params: map[string]string{"password-file": "/none"}}, `password-file="/none"`},
		{registryConfig{address: "a:1", username: "root", params: map[string]string{"password-env": "NO_SUCH_VARIABLE"}}, `password-env="NO_SUCH_VARIABLE" cannot be used`},
	} {
		_, err := newSettings(c.config.url(t), inRegistry)
		if assert.ErrorContains(t, err, c.want) {
			assert.NotContains(t, err.Error(), "SECRET")
		}
	}
}

func TestThePasswordNeedNotStandInTheConfiguration(t *testing.T) {
	t.Setenv("ETCD_PASSWORD", "SECRET")
	file := fileOf(t, "SECRET\n")
	for name, value := range map[string]string{"password-env": "ETCD_PASSWORD", "password-file": file} {
		s, err := newSettings(registryConfig{address: "a:1", username: "root", params: map[string]string{name: value}}.url(t), inRegistry)
		require.NoError(t, err)
		assert.Equal(t, "root", s.Cluster.Username)
		if name == "password-env" {
			assert.Equal(t, "SECRET", s.Cluster.Password)
		} else {
			assert.Equal(t, file, s.Cluster.PasswordFile)
		}
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"etcdv3://root:SECRET@a:port", "root:SECRET@a:1:2", "root:SECRET@", "root:SECRET@a:1,ftp://b:2", "a:1,root:SECRET@b:0",
		"root:SECRET,SECRET@a:port", "root:SECRET SECRET@a:port", "root:SECRET;SECRET@a:port", "root:SECRET/SECRET@a:port",
		"root:SECRET@SECRET@a:port", "root:SECRET?SECRET@a:port", "root:SECRET#SECRET@a:port", "root:SECRET://SECRET@a:port",
		"root:SECRET:SECRET@a:port", "root:[SECRET]:1@a:port", "root:SECRET%zz@a:port", "root:SECRET?%zz@a:1", "root:SECRET@a:1?x=%zz",
		"etcdv3://root:SECRET,x,y@a:1", "root:SECRET@a SECRET@a:1", "root:x,SECRET?backup=b:x@a:1",
	} {
		for _, backup := range []string{"", "b:port", "root:SECRET@b:port", "root:SECRET,SECRET@b:port"} {
			u := registryConfig{address: "a:1"}.url(t)
			u.Location = location
			u.SetParam(constant.BackupKey, backup)
			_, err := newRegistry(u)
			if assert.Error(t, err, "address %q, backup %q", location, backup) {
				assert.NotContains(t, err.Error(), "SECRET", "address %q, backup %q", location, backup)
			}
		}
	}
	for _, p := range parameters {
		for _, value := range []string{"//", "no such file", "-1"} {
			_, err := newSettings(registryConfig{address: "a:1", username: "root", password: "SECRET", params: map[string]string{p.name: value}}.url(t), inRegistry)
			if err != nil {
				assert.NotContains(t, err.Error(), "SECRET", "%s=%q", p.name, value)
			}
		}
	}
}

func TestTLSIsUsedWhenItIsConfiguredOrTheAddressSaysHTTPS(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificateFiles(t)
	for name, c := range map[string]struct {
		address string
		params  map[string]string
		want    cluster.TLS
	}{
		"nothing":                    {"a:1", nil, cluster.TLS{}},
		"http":                       {"http://a:1", nil, cluster.TLS{}},
		"https, the system's roots":  {"https://a:1", nil, cluster.TLS{Enabled: true}},
		"a CA":                       {"a:1", map[string]string{"ca-cert-file": ca}, cluster.TLS{Enabled: true, CA: ca}},
		"a CA and dubbo-go's scheme": {"etcdv3://a:1", map[string]string{"ca-cert-file": ca}, cluster.TLS{Enabled: true, CA: ca}},
		"a server name":              {"a:1", map[string]string{"tls-server-name": "etcd"}, cluster.TLS{Enabled: true, ServerName: "etcd"}},
		"everything": {"https://a:1",
			map[string]string{"ca-cert-file": ca, "tls-cert-file": cert, "tls-key-file": key, "tls-server-name": "etcd"},
			cluster.TLS{Enabled: true, CA: ca, Cert: cert, Key: key, ServerName: "etcd"}},
	} {
		s, err := newSettings(registryConfig{address: c.address, params: c.params}.url(t), inRegistry)
		if assert.NoError(t, err, name) {
			assert.Equal(t, c.want, s.Cluster.TLS, name)
		}
	}

	s, err := newSettings(registryConfig{address: "a:1", params: map[string]string{
		"ca-cert-file": ca, "tls-cert-file": cert, "tls-key-file": key, "tls-server-name": "etcd",
	}}.url(t), inRegistry)
	require.NoError(t, err)
	config, err := s.Cluster.TLS.Config()
	require.NoError(t, err)
	assert.Equal(t, "etcd", config.ServerName)
	assert.NotNil(t, config.RootCAs)
	assert.False(t, config.InsecureSkipVerify)
	assert.NotEmpty(t, config.Certificates)
	assert.EqualValues(t, tls.VersionTLS12, config.MinVersion)
}

func TestTLSFilesThatCannotBeUsedAreAnErrorWhenTheServiceStarts(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificateFiles(t)
	_, otherCert, otherKey := certificateFiles(t)
	notPEM := fileOf(t, "what is this")
	for name, c := range map[string]struct {
		address string
		params  map[string]string
		want    []string
	}{
		"no such CA":               {"a:1", map[string]string{"ca-cert-file": "/no/ca.pem"}, []string{`ca-cert-file="/no/ca.pem"`, "no such file"}},
		"no such certificate":      {"a:1", map[string]string{"tls-cert-file": "/no/c.pem", "tls-key-file": key}, []string{`tls-cert-file="/no/c.pem"`, "no such file"}},
		"no such key":              {"a:1", map[string]string{"tls-cert-file": cert, "tls-key-file": "/no/k.pem"}, []string{`tls-key-file="/no/k.pem"`, "no such file"}},
		"the key of another":       {"a:1", map[string]string{"tls-cert-file": otherCert, "tls-key-file": key}, []string{"tls-cert-file=", otherCert, key}},
		"a certificate, not PEM":   {"a:1", map[string]string{"tls-cert-file": notPEM, "tls-key-file": otherKey}, []string{"tls-cert-file=", notPEM}},
		"a certificate and no key": {"a:1", map[string]string{"tls-cert-file": cert}, []string{"tls-cert-file=", cert, `tls-key-file=""`, "configure both or none"}},
		"a key and no certificate": {"a:1", map[string]string{"tls-key-file": key}, []string{`tls-cert-file=""`, "tls-key-file=", key, "configure both or none"}},
		"TLS and http":             {"http://a:1", map[string]string{"ca-cert-file": ca}, []string{"http://", "write https:// or no scheme"}},
	} {
		_, err := newSettings(registryConfig{address: c.address, params: c.params}.url(t), inRegistry)
		if assert.Error(t, err, name) {
			for _, want := range c.want {
				assert.ErrorContains(t, err, want, name)
			}
		}
	}
}

func TestACAFileWithoutACertificateIsAnError(t *testing.T) {
	t.Parallel()
	file := fileOf(t, "what is this")
	_, err := newSettings(with("ca-cert-file", file).url(t), inRegistry)
	if assert.Error(t, err) {
		assert.ErrorContains(t, err, `ca-cert-file="`+file+`"`)
	}
}

func fileOf(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

// certificateFiles writes an authority's certificate, and a certificate issued
// by it with its key.
func certificateFiles(t *testing.T) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return k
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := newKey()
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	require.NoError(t, err)
	client := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	clientKey := newKey()
	certDER, err := x509.CreateCertificate(rand.Reader, client, authority, clientKey.Public(), caKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(clientKey)
	require.NoError(t, err)
	return write("ca.pem", "CERTIFICATE", caDER), write("client.pem", "CERTIFICATE", certDER), write("client.key", "EC PRIVATE KEY", keyDER)
}
