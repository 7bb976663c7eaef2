// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// DefaultSession is Java's: the TTL of the lease if nobody asks for another.
const DefaultSession = 30 * time.Second

// Config says which cluster is meant, and how to talk to it.
type Config struct {
	Endpoints []string // host:port each
	Username  string   // empty: no authentication
	Password  string   // never logged
	TLS       TLS

	// What follows does not tell one cluster from another: of several users of
	// one cluster in a process, the first one's values hold.

	// Session is the TTL of the lease; etcd counts in seconds, a fraction is
	// rounded up. Zero: whatever another user asks for, or else DefaultSession.
	Session time.Duration
	Timeout time.Duration // of one request, and of an attempt to connect
	// SyncEndpoints asks etcd for its members' client addresses, and uses those
	// as well.
	SyncEndpoints bool
	Retry         retry.Policy // of requests whose answer somebody waits for
}

// id is the same for the users of one connection: equal endpoints in whatever
// order, equal credentials, equal TLS files.
type id struct {
	endpoints, username, password string
	tls                           TLS
}

func (c Config) id() id {
	return id{strings.Join(slices.Sorted(slices.Values(c.Endpoints)), ","), c.Username, c.Password, c.TLS}
}

// TLS names the files of a TLS config. The client's certificate is read again
// at every handshake, so that a renewed one needs no restart.
type TLS struct {
	Enabled       bool
	CA, Cert, Key string // PEM files; without CA the system's roots are trusted
	ServerName    string // checked instead of the endpoint's host name
}

// Config reads the files.
func (t TLS) Config() (*tls.Config, error) {
	info := transport.TLSInfo{TrustedCAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key, ServerName: t.ServerName}
	config, err := info.ClientConfig()
	if err == nil && t.CA != "" && config.RootCAs.Equal(x509.NewCertPool()) {
		err = errors.New("there is no certificate in the CA file")
	}
	if err != nil {
		return nil, fmt.Errorf("read the TLS files (ca-cert-file=%q, tls-cert-file=%q, tls-key-file=%q): %w", t.CA, t.Cert, t.Key, err)
	}
	return config, nil
}
