// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/dubbogo/gost/log/logger"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// monitor logs when the connection to etcd is made, lost and made again; it
// ends with ctx. Watches and keep-alives do not tell: the client resumes them in
// silence. connected is called each time.
func monitor(ctx context.Context, conn *grpc.ClientConn, endpoints []string, connected func()) {
	var made, lost bool
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			connected()
		}
		switch {
		case state == connectivity.Ready && !made:
			logger.Infof("[etcdv3] connected to etcd at %v", endpoints)
			made = true
		case state == connectivity.Ready && lost:
			logger.Infof("[etcdv3] connected to etcd at %v again", endpoints)
			lost = false
		case state == connectivity.TransientFailure && !lost && made:
			logger.Warnf("[etcdv3] lost the connection to etcd at %v: consumers keep the providers that they know, the lease runs out if this lasts", endpoints)
			lost = true
		case state == connectivity.TransientFailure && !lost:
			logger.Warnf("[etcdv3] cannot connect to etcd at %v, trying again: is it running there, and are address, TLS and firewall right?", endpoints)
			made, lost = true, true
		case state == connectivity.Shutdown:
			return
		}
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}
