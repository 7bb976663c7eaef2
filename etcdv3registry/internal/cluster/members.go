// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/stats"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// members has a client use the addresses that etcd advertises for its members,
// besides those that were configured: should nobody reach what is advertised, or
// it be out of date, nothing is lost.
//
// etcd is asked when the client has connected, and whenever a connection to a
// member has ended: the client has one to each, so a cluster of which the members
// are replaced one after the other is never lost, while an idle one is not asked.
type members struct {
	configured []string
	timeout    time.Duration
	lost       chan struct{} // a value: a connection has ended
}

const (
	// askSpread is the time over which those that lost the same member spread
	// their questions.
	askSpread = 500 * time.Millisecond
	// askPause is the least time between two questions.
	askPause = time.Second
	// maxAdvertised is how many addresses of members are used: each is dialled again
	// and again.
	maxAdvertised = 100
	// askAgain is when to ask once more: a member may be removed first, and its
	// successor added later.
	askAgain = time.Minute
)

func newMembers(c Config) *members {
	return &members{configured: c.Endpoints, timeout: c.Timeout, lost: make(chan struct{}, 1)}
}

// follow ends with ctx.
func (m *members) follow(ctx context.Context, client *clientv3.Client) {
	again := time.NewTimer(askAgain)
	defer again.Stop()
	for {
		if !retry.Sleep(ctx, rand.N(askSpread)) {
			return
		}
		if err := m.ask(ctx, client); err != nil && ctx.Err() == nil {
			logger.Warnf("[etcdv3] cannot ask etcd for its members, going on with %v: %v", client.Endpoints(), err)
		}
		if !retry.Sleep(ctx, askPause) {
			return
		}
		select {
		case <-m.lost:
			again.Reset(askAgain)
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask returns an error if it makes no sense to ask again soon.
func (m *members) ask(ctx context.Context, client *clientv3.Client) error {
	return retry.Do(ctx, retry.Backoff(200*time.Millisecond, 5*time.Second), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, m.timeout)
		defer cancel()
		response, err := client.MemberList(ctx)
		if err != nil {
			return fmt.Errorf("list the members of the cluster: %w", err)
		}
		endpoints := merge(m.configured, response.Members)
		if known := client.Endpoints(); !slices.Equal(slices.Sorted(slices.Values(known)), slices.Sorted(slices.Values(endpoints))) {
			client.SetEndpoints(endpoints...)
			logger.Infof("[etcdv3] using etcd at %v from now on, which is what is configured and what etcd says about its members", endpoints)
		}
		return nil
	})
}

// merge adds to the endpoints those that members advertise. "localhost", which
// is etcd's default, is another machine here than there, and may be another
// etcd: it is left out, unless etcd is on this machine anyhow. So is what cannot be
// dialled, and what is more than a cluster has.
func merge(configured []string, members []*etcdserverpb.Member) []string {
	endpoints := slices.Clone(configured)
	local := slices.ContainsFunc(configured, isLocal)
	for _, member := range members {
		if member.IsLearner { // it does not serve clients
			continue
		}
		for _, advertised := range member.ClientURLs {
			u, err := url.Parse(advertised)
			if err != nil || !sane.IsHost(u.Hostname()) || !sane.IsPort(u.Port()) {
				continue
			}
			endpoint := net.JoinHostPort(u.Hostname(), u.Port())
			if slices.Contains(endpoints, endpoint) || isLocal(endpoint) && !local || len(endpoints) >= len(configured)+maxAdvertised {
				continue
			}
			endpoints = append(endpoints, endpoint)
		}
	}
	return endpoints
}

// isLocal reports whether a host:port means whichever machine it is used on.
func isLocal(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// HandleConn is called when a connection is made and when it has ended.
func (m *members) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ended := s.(*stats.ConnEnd); ended {
		delivery.Signal(m.lost)
	}
}

// TagConn is of no use here, as are TagRPC and HandleRPC.
func (m *members) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC see TagConn.
func (m *members) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC see TagConn.
func (m *members) HandleRPC(context.Context, stats.RPCStats) {}
