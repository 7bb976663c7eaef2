// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// monitor logs, and notes, when the connection to etcd is made, lost and made again; it
// ends with ctx. Watches and keep-alives do not tell: the client resumes them in
// silence. connected is called when it is made; again: it may be to another store.
func monitor(ctx context.Context, conn *grpc.ClientConn, endpoints []string, l *link, connected func(again bool)) {
	var made, failed bool // there was a connection; there is none, and that was told
	for {
		state := conn.GetState()
		l.note(state)
		switch {
		case state == connectivity.Shutdown:
			return
		case state == connectivity.Ready:
			switch {
			case !made:
				logger.Infof("[etcdv3] connected to etcd at %v", endpoints)
			case failed:
				logger.Infof("[etcdv3] connected to etcd at %v again", endpoints)
			}
			connected(made)
			made, failed = true, false
		case state != connectivity.TransientFailure || failed:
		case made:
			logger.Warnf("[etcdv3] lost the connection to etcd at %v: consumers keep the providers that they know, the lease runs out if this lasts: %v", endpoints, reason(ctx, conn))
			failed = true
		default:
			logger.Warnf("[etcdv3] cannot connect to etcd at %v, trying again (is it running there, and are address, TLS and firewall right?): %v", endpoints, reason(ctx, conn))
			failed = true
		}
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// reason returns why there is no connection: a request that does not wait for one
// fails with that at once.
func reason(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := etcdserverpb.NewMaintenanceClient(conn).Status(ctx, &etcdserverpb.StatusRequest{}, grpc.WaitForReady(false))
	if err == nil {
		return errors.New("it is there again")
	}
	return err
}
