// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// server is as much of an etcd as a connection needs, behind a real socket.
type server struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedAuthServer
	etcdserverpb.UnimplementedClusterServer
	etcdserverpb.UnimplementedWatchServer

	address string
	grpc    *grpc.Server
	authed  func(*etcdserverpb.AuthenticateRequest) error // nil: everybody is let in
	members func() ([]*etcdserverpb.Member, error)

	mu          sync.Mutex // guards what follows
	connections int        // that were accepted
	accepted    []net.Conn // those
	watches     int        // that were created
	requests    int        // for keys
	tokens      []string   // that came with them
	forgotten   bool       // the tokens of before
	streams     int        // of watches, that were opened
	old         int        // of those, how many have a token that is none any more
	large       int        // bytes of the value that is answered
	compared    int        // how often it was asked whether it is the store that it was
}

// serve starts a server, which ends with the test.
func serve(t testing.TB, s *server, opts ...grpc.ServerOption) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	s.serveOn(t, counting{l, s}, opts...)
	return s
}

func (s *server) serveOn(t testing.TB, l net.Listener, opts ...grpc.ServerOption) {
	s.grpc = grpc.NewServer(opts...)
	etcdserverpb.RegisterKVServer(s.grpc, s)
	etcdserverpb.RegisterAuthServer(s.grpc, s)
	etcdserverpb.RegisterClusterServer(s.grpc, s)
	etcdserverpb.RegisterWatchServer(s.grpc, s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.grpc.Serve(l)
	}()
	stop := s.grpc.Stop
	t.Cleanup(func() { stop(); <-ended })
}

// counting counts what it accepts.
type counting struct {
	net.Listener
	server *server
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.server.mu.Lock()
		c.server.connections++
		c.server.accepted = append(c.server.accepted, conn)
		c.server.mu.Unlock()
	}
	return conn, err
}

func (s *server) Range(ctx context.Context, _ *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	md, _ := metadata.FromIncomingContext(ctx)
	s.tokens = append(s.tokens, md.Get("token")...)
	if s.forgotten {
		return nil, rpctypes.ErrGRPCInvalidAuthToken
	}
	response := &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{Revision: 1}}
	if s.large > 0 {
		response.Kvs = append(response.Kvs, &mvccpb.KeyValue{Key: []byte("large"), Value: make([]byte, s.large)})
	}
	return response, nil
}

func (s *server) Txn(_ context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compared++
	response := &etcdserverpb.TxnResponse{Header: &etcdserverpb.ResponseHeader{Revision: 1}}
	for range r.Failure {
		response.Responses = append(response.Responses, &etcdserverpb.ResponseOp{
			Response: &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: &etcdserverpb.RangeResponse{}},
		})
	}
	return response, nil
}

func (s *server) Authenticate(_ context.Context, r *etcdserverpb.AuthenticateRequest) (*etcdserverpb.AuthenticateResponse, error) {
	if s.authed != nil {
		if err := s.authed(r); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = false
	return &etcdserverpb.AuthenticateResponse{Header: &etcdserverpb.ResponseHeader{}, Token: "token of " + r.Name}, nil
}

// forget has the server know no token that it gave.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = true
}

// forgetStreams has the server create no watch on the streams that there are.
func (s *server) forgetStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old = s.streams
}

func (s *server) MemberList(context.Context, *etcdserverpb.MemberListRequest) (*etcdserverpb.MemberListResponse, error) {
	all, err := s.members()
	return &etcdserverpb.MemberListResponse{Header: &etcdserverpb.ResponseHeader{}, Members: all}, err
}

// Watch has every watch created, unless the token of the stream is none any more, and
// tells nothing.
func (s *server) Watch(stream etcdserverpb.Watch_WatchServer) error {
	s.mu.Lock()
	s.streams++
	number := s.streams
	s.mu.Unlock()
	for id := int64(1); ; id++ {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if r.GetCreateRequest() != nil {
			s.mu.Lock()
			old := number <= s.old
			if !old {
				s.watches++
			}
			s.mu.Unlock()
			if old {
				if err = stream.Send(&etcdserverpb.WatchResponse{
					Header: &etcdserverpb.ResponseHeader{}, WatchId: -1, Created: true, Canceled: true, CancelReason: rpctypes.ErrGRPCInvalidAuthToken.Error(),
				}); err != nil {
					return err
				}
				continue
			}
			if err = stream.Send(&etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{}, WatchId: id, Created: true}); err != nil {
				return err
			}
		}
	}
}

func (s *server) count() (connections, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, s.requests
}

// watched is how many watches were created, asked how often it was compared.
func (s *server) watched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches
}

func (s *server) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compared
}

// disconnect ends all connections.
func (s *server) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.accepted {
		_ = conn.Close()
	}
	s.accepted = nil
}
