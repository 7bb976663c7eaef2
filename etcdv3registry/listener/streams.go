// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// StreamInterceptor is for the connection of the client that Dial returns: it calls
// Check whenever watches go over a new stream. Without it, and without whoever calls
// Check instead, mirrors stay what they are after etcd was emptied or restored.
func (h *Hub) StreamInterceptor() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		opened, err := open(ctx, desc, conn, method, opts...)
		if err != nil {
			return nil, err
		}
		return &checkedStream{ClientStream: opened, hub: h}, nil
	}
}

// checkedStream has the hub check as the first answer to a watch comes.
type checkedStream struct {
	grpc.ClientStream
	hub   *Hub
	heard bool // RecvMsg is for one goroutine at a time
}

func (s *checkedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if _, watches := m.(*etcdserverpb.WatchResponse); err == nil && watches && !s.heard {
		s.heard = true
		s.hub.Check()
	}
	return err
}
