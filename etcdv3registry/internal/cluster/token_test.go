// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

func TestATokenWithWhichNobodyIsLetInIsForgotten(t *testing.T) {
	answering := func(request any, answer error) error {
		return forgetToken(t.Context(), "", request, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return answer })
	}
	authenticate, put := &etcdserverpb.AuthenticateRequest{}, &etcdserverpb.PutRequest{}
	assert.Equal(t, rpctypes.ErrGRPCAuthNotEnabled, answering(authenticate, rpctypes.ErrGRPCInvalidAuthToken))
	assert.Equal(t, rpctypes.ErrGRPCInvalidAuthToken, answering(put, rpctypes.ErrGRPCInvalidAuthToken), "then the client asks for another one")
	assert.Equal(t, rpctypes.ErrGRPCAuthFailed, answering(authenticate, rpctypes.ErrGRPCAuthFailed))
	assert.NoError(t, answering(authenticate, nil))
}
