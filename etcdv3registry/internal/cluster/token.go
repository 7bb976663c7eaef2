// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// forgetToken has etcd's client forget a token with which it is not let in.
//
// The client asks for another token when one is refused, and sends the old one along.
// etcd 3.4 refuses the question for that, the client asks again for this reason, and so
// on, hundreds of times a second, until the request is given up. It clears the token when
// it is told that there are no users, and asks without one then.
func forgetToken(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, conn, opts...)
	if _, asks := request.(*etcdserverpb.AuthenticateRequest); asks && err != nil && retry.TokenRefused(err) {
		return rpctypes.ErrGRPCAuthNotEnabled
	}
	return err
}
