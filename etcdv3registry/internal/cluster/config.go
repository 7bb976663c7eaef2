// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// DefaultSession is Java's: the TTL of the lease if nobody asks for another.
const DefaultSession = 30 * time.Second

// Config says which cluster is meant, and how to talk to it.
type Config struct {
	Endpoints []string // host:port each
	Username  string   // empty: no authentication
	Password  string   // never logged
	// PasswordFile is where the password is, instead of Password: it is read at each
	// authentication.
	PasswordFile string
	TLS          TLS

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
	// Tracing makes spans of the requests. It holds if any user asks for it before there
	// is a connection.
	Tracing bool
	// Dial returns the client. Nil: one that is connected to the endpoints. It is
	// for tests.
	Dial func(context.Context) (*clientv3.Client, error)
}

// id is the same for the users of one connection: equal endpoints in whatever
// order, equal credentials, equal TLS files.
type id struct {
	endpoints, username, password, passwordFile string
	tls                                         TLS
}

func (c Config) id() id {
	return id{strings.Join(slices.Sorted(slices.Values(c.Endpoints)), ","), c.Username, c.Password, c.PasswordFile, c.TLS}
}

// asUser names the user in errors, if there is one.
func (c Config) asUser() string {
	if c.Username == "" {
		return ""
	}
	return fmt.Sprintf(" as user %q", c.Username)
}
