// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// answering is a server that gives one answer, as bytes, to whatever it is asked.
type answering struct {
	etcdserverpb.KVClient
	etcdserverpb.LeaseClient
	content []byte
}

// answer is what the client is given: the message, if it passes.
func answer[M interface{ Unmarshal([]byte) error }](a answering, request any, message M) (M, error) {
	var none M
	if err := message.Unmarshal(a.content); err != nil {
		return none, err
	}
	if err := checkAnswer(request, message); err != nil {
		return none, err
	}
	return message, nil
}

func (a answering) Range(_ context.Context, r *etcdserverpb.RangeRequest, _ ...grpc.CallOption) (*etcdserverpb.RangeResponse, error) {
	return answer(a, r, &etcdserverpb.RangeResponse{})
}

func (a answering) Put(_ context.Context, r *etcdserverpb.PutRequest, _ ...grpc.CallOption) (*etcdserverpb.PutResponse, error) {
	return answer(a, r, &etcdserverpb.PutResponse{})
}

func (a answering) DeleteRange(_ context.Context, r *etcdserverpb.DeleteRangeRequest, _ ...grpc.CallOption) (*etcdserverpb.DeleteRangeResponse, error) {
	return answer(a, r, &etcdserverpb.DeleteRangeResponse{})
}

func (a answering) Txn(_ context.Context, r *etcdserverpb.TxnRequest, _ ...grpc.CallOption) (*etcdserverpb.TxnResponse, error) {
	return answer(a, r, &etcdserverpb.TxnResponse{})
}

func (a answering) LeaseGrant(_ context.Context, r *etcdserverpb.LeaseGrantRequest, _ ...grpc.CallOption) (*etcdserverpb.LeaseGrantResponse, error) {
	return answer(a, r, &etcdserverpb.LeaseGrantResponse{})
}

// watching opens streams that say that a watch was created, give the answer, and
// are silent from then on.
type watching struct{ answering }

func (w watching) Watch(ctx context.Context, _ ...grpc.CallOption) (etcdserverpb.Watch_WatchClient, error) {
	return &watched{answering: w.answering, ctx: ctx}, nil
}

type watched struct {
	answering
	ctx  context.Context
	said int
}

func (w *watched) Send(*etcdserverpb.WatchRequest) error { return nil }

func (w *watched) Recv() (*etcdserverpb.WatchResponse, error) {
	switch w.said++; w.said {
	case 1:
		return &etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: 7}, Created: true}, nil
	case 2:
		return answer(w.answering, nil, &etcdserverpb.WatchResponse{})
	default:
		<-w.ctx.Done()
		return nil, w.ctx.Err()
	}
}

func (w *watched) Header() (metadata.MD, error) { return nil, nil }
func (w *watched) Trailer() metadata.MD         { return nil }
func (w *watched) CloseSend() error             { return nil }
func (w *watched) Context() context.Context     { return w.ctx }
func (w *watched) SendMsg(any) error            { return nil }
func (w *watched) RecvMsg(any) error            { return nil }

// FuzzAnswer gives etcd's client what passes of what somebody else may answer. It
// panics over much, in goroutines of its own, which ends the test.
func FuzzAnswer(f *testing.F) {
	header := &etcdserverpb.ResponseHeader{ClusterId: 1, MemberId: 2, Revision: 7, RaftTerm: 3}
	kv := &mvccpb.KeyValue{Key: []byte("/dubbo/a"), Value: []byte("b"), ModRevision: 7, CreateRevision: 6, Version: 1}
	for _, message := range []interface{ Marshal() ([]byte, error) }{
		&etcdserverpb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{kv}, Count: 1},
		&etcdserverpb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{{}}, Count: -1, More: true},
		&etcdserverpb.RangeResponse{},
		&etcdserverpb.TxnResponse{Header: header, Succeeded: true, Responses: []*etcdserverpb.ResponseOp{
			{Response: &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: &etcdserverpb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv}}}},
			{Response: &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{PrevKv: kv}}},
			{Response: &etcdserverpb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &etcdserverpb.DeleteRangeResponse{Deleted: 1}}},
		}},
		&etcdserverpb.TxnResponse{Header: header, Responses: []*etcdserverpb.ResponseOp{{}}},
		&etcdserverpb.WatchResponse{Header: header, Events: []*mvccpb.Event{{Type: mvccpb.DELETE, Kv: kv}, {Kv: kv, PrevKv: kv}}},
		&etcdserverpb.WatchResponse{Header: header, Events: []*mvccpb.Event{{}}},
		&etcdserverpb.WatchResponse{Header: header, Canceled: true, CancelReason: "no\n2026-01-01 FORGED", CompactRevision: 9},
		&etcdserverpb.WatchResponse{Header: header, WatchId: -1, Created: true, Fragment: true},
		&etcdserverpb.LeaseGrantResponse{Header: header, ID: 1, TTL: -1, Error: "no"},
	} {
		content, err := message.Marshal()
		require.NoError(f, err)
		for kind := range uint8(5) {
			f.Add(kind, content)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		server := answering{content: content}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		kvs := clientv3.NewKVFromKVClient(server, nil)
		var err error
		switch kind % 5 {
		case 0:
			var r *clientv3.GetResponse
			if r, err = kvs.Get(ctx, "/dubbo/", clientv3.WithPrefix()); err == nil {
				_ = r.Header.Revision
				for _, kv := range r.Kvs {
					require.NotEmpty(t, kv.Key)
				}
			}
		case 1:
			var r *clientv3.TxnResponse
			r, err = kvs.Txn(ctx).Then(clientv3.OpGet("a"), clientv3.OpPut("a", "b"), clientv3.OpDelete("c")).Else(clientv3.OpGet("a"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("b")}, nil)).Commit()
			if err != nil {
				break
			}
			_ = r.Header.Revision
			for _, kv := range r.Responses[0].GetResponseRange().Kvs {
				require.NotEmpty(t, kv.Key)
			}
			if !r.Succeeded {
				nested := r.Responses[1].GetResponseTxn()
				if nested.Succeeded {
					_ = nested.Responses[0].GetResponseRange().Kvs
				}
			}
		case 2:
			watcher := clientv3.NewWatchFromWatchClient(watching{server}, clientv3.NewCtxClient(ctx))
			defer func() { _ = watcher.Close() }()
			events := watcher.Watch(ctx, "/dubbo/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
			for range 2 {
				select {
				case r := <-events:
					_, _ = r.Err(), r.IsProgressNotify()
					for _, e := range r.Events {
						_, _ = e.IsCreate(), e.IsModify()
						require.NotEmpty(t, e.Kv.Key)
					}
				case <-time.After(time.Millisecond):
				}
			}
		case 3:
			var r *clientv3.LeaseGrantResponse
			if r, err = clientv3.NewLeaseFromLeaseClient(server, clientv3.NewCtxClient(ctx), time.Second).Grant(ctx, 30); err == nil {
				_ = r.Revision
			}
		case 4:
			if _, err = kvs.Put(ctx, "a", "b"); err == nil {
				_, err = kvs.Delete(ctx, "a")
			}
		}
		_ = retry.CanPass(err)
	})
}

// FuzzMemberAddress reads what etcd says about its members: it is dialled, and
// stands in the log.
func FuzzMemberAddress(f *testing.F) {
	for _, address := range []string{
		"http://10.0.0.1:2379", "https://etcd-0.etcd.svc:2379", "https://[2001:db8::1]:2379", "https://[fe80::1%25eth0]:2379", "unix:///var/run/etcd.sock",
		"http://localhost:2379", "http://127.0.0.1:2379", "http://:2379", "http://10.0.0.1:0", "http://10.0.0.1:99999", "http://a b:1", "http://\u202e:1",
		"http://root:secret@10.0.0.1:2379", "://", "//a:1", "http://%41:1", "http://a,b:1", "http://[::1:1",
	} {
		f.Add("10.0.0.9:2379", address)
		f.Add("localhost:2379", address)
	}
	f.Fuzz(func(t *testing.T, configured, address string) {
		all := []*etcdserverpb.Member{{ClientURLs: []string{address, address}}, {ClientURLs: []string{address}}}
		endpoints := merge([]string{configured}, all)
		require.Equal(t, configured, endpoints[0], "what is configured stays")
		require.LessOrEqual(t, len(endpoints), 2, "each is there once")
		for _, endpoint := range endpoints[1:] {
			host, port, err := net.SplitHostPort(endpoint)
			require.NoError(t, err, "%q", endpoint)
			require.True(t, sane.IsHost(host) && sane.IsPort(port), "%q", endpoint)
			require.True(t, !isLocal(endpoint) || isLocal(configured), "%q", endpoint)
		}
		require.Equal(t, endpoints, merge(endpoints, all), "told again, there is nothing new")
	})
}

// FuzzFiles reads what may be in the files of TLS and of the password.
func FuzzFiles(f *testing.F) {
	authority := newAuthority(f)
	dir := authority.dir
	certificate, err := os.ReadFile(authority.file("ca.pem"))
	require.NoError(f, err)
	key, err := os.ReadFile(authority.file("ca.key"))
	require.NoError(f, err)
	f.Add(certificate, certificate, key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), certificate, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Add([]byte("s3cret\r\n"), []byte(""), []byte("-----BEGIN EC PRIVATE KEY-----\nDEK-Info: x\n\nAAAA\n-----END EC PRIVATE KEY-----\n"))
	f.Add([]byte("\n"), key, certificate)
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		files := TLS{CA: filepath.Join(dir, "a"), Cert: filepath.Join(dir, "b"), Key: filepath.Join(dir, "c")}
		for path, content := range map[string][]byte{files.CA: first, files.Cert: second, files.Key: third} {
			require.NoError(t, os.WriteFile(path, content, 0o600))
		}
		if config, err := files.read(); err == nil {
			assert.NotNil(t, config.Certificates[0].Leaf)
			assert.NotNil(t, config.RootCAs)
		}
		password, err := ReadPassword(files.CA)
		if err == nil {
			require.NotEmpty(t, password)
			require.Equal(t, password, strings.TrimRight(password, "\r\n"))
			require.True(t, strings.HasPrefix(string(first), password))
		}
	})
}
