// SPDX-License-Identifier: Apache-2.0

package etcdfake

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// kv is the client's view of a server's keys.
type kv struct{ *Etcd }

var _ etcdserverpb.KVClient = kv{}

func (e kv) Range(ctx context.Context, r *etcdserverpb.RangeRequest, _ ...grpc.CallOption) (*etcdserverpb.RangeResponse, error) {
	if err := e.begin(ctx, "Range", string(r.Key)); err != nil {
		return nil, err
	}
	e.mu.Lock()
	response, err := e.rangeLocked(r)
	delay := e.Delay
	e.mu.Unlock()
	if err == nil && delay != nil && !retry.Sleep(ctx, delay(len(response.Kvs))) {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return response, err
}

// Put counts as the transaction that it is.
func (e kv) Put(ctx context.Context, r *etcdserverpb.PutRequest, _ ...grpc.CallOption) (*etcdserverpb.PutResponse, error) {
	if err := e.begin(ctx, "Txn", string(r.Key)); err != nil {
		return nil, err
	}
	return underWay(ctx, e.Etcd, func() (*etcdserverpb.PutResponse, error) {
		if r.Lease != 0 && e.leases[r.Lease] == nil {
			return nil, rpctypes.ErrGRPCLeaseNotFound
		}
		e.revision++
		e.putLocked(r)
		e.publishLocked()
		return answerLocked(e.Etcd, "Txn", &etcdserverpb.PutResponse{Header: e.headerLocked()}, nil)
	})
}

func (e kv) DeleteRange(ctx context.Context, r *etcdserverpb.DeleteRangeRequest, _ ...grpc.CallOption) (*etcdserverpb.DeleteRangeResponse, error) {
	if err := e.begin(ctx, "DeleteRange", string(r.Key)); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.deleteRangeLocked(r, true), nil
}

func (e kv) Compact(context.Context, *etcdserverpb.CompactionRequest, ...grpc.CallOption) (*etcdserverpb.CompactionResponse, error) {
	panic("not used")
}

func (e kv) Txn(ctx context.Context, r *etcdserverpb.TxnRequest, _ ...grpc.CallOption) (*etcdserverpb.TxnResponse, error) {
	if err := e.begin(ctx, "Txn", keysOf(r)...); err != nil {
		return nil, err
	}
	return underWay(ctx, e.Etcd, func() (*etcdserverpb.TxnResponse, error) {
		switch {
		case tooManyOps(r, cmp.Or(e.MaxOps, 128)):
			return nil, rpctypes.ErrGRPCTooManyOps
		case r.Size() > cmp.Or(e.MaxBytes, 3<<19):
			return nil, rpctypes.ErrGRPCRequestTooLarge
		}
		response, err := e.txnLocked(r)
		return answerLocked(e.Etcd, "Txn", response, err)
	})
}

func keysOf(r *etcdserverpb.TxnRequest) (keys []string) {
	for _, c := range r.Compare {
		keys = append(keys, string(c.Key))
	}
	for _, op := range slices.Concat(r.Success, r.Failure) {
		switch op := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestRange:
			keys = append(keys, string(op.RequestRange.Key))
		case *etcdserverpb.RequestOp_RequestPut:
			keys = append(keys, string(op.RequestPut.Key))
		case *etcdserverpb.RequestOp_RequestDeleteRange:
			keys = append(keys, string(op.RequestDeleteRange.Key))
		case *etcdserverpb.RequestOp_RequestTxn:
			keys = append(keys, keysOf(op.RequestTxn)...)
		}
	}
	return keys
}

// tooManyOps counts as etcd's checkTxnRequest does.
func tooManyOps(r *etcdserverpb.TxnRequest, limit int) bool {
	n := max(len(r.Compare), len(r.Success), len(r.Failure))
	if n > limit {
		return true
	}
	for _, op := range slices.Concat(r.Success, r.Failure) {
		if nested, ok := op.Request.(*etcdserverpb.RequestOp_RequestTxn); ok && tooManyOps(nested.RequestTxn, limit-n) {
			return true
		}
	}
	return false
}

func (e *Etcd) txnLocked(r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	if err := e.checkLocked(r); err != nil {
		return nil, err
	}
	if writes(r) { // taken back if the branch that is taken does not
		e.revision++
	}
	before := len(e.history)
	response := e.branchLocked(r)
	if writes(r) && len(e.history) == before {
		e.revision--
	}
	response.Header = e.headerLocked()
	e.publishLocked()
	return response, nil
}

// checkLocked refuses what etcd refuses before it begins.
func (e *Etcd) checkLocked(r *etcdserverpb.TxnRequest) error {
	for _, op := range slices.Concat(r.Success, r.Failure) {
		switch op := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestRange:
			if _, err := e.atLocked(op.RequestRange.Revision); err != nil {
				return err
			}
		case *etcdserverpb.RequestOp_RequestPut:
			if id := op.RequestPut.Lease; id != 0 && e.leases[id] == nil {
				return rpctypes.ErrGRPCLeaseNotFound
			}
		case *etcdserverpb.RequestOp_RequestTxn:
			if err := e.checkLocked(op.RequestTxn); err != nil {
				return err
			}
		}
	}
	return nil
}

func writes(r *etcdserverpb.TxnRequest) bool {
	return slices.ContainsFunc(slices.Concat(r.Success, r.Failure), func(op *etcdserverpb.RequestOp) bool {
		_, reads := op.Request.(*etcdserverpb.RequestOp_RequestRange)
		return !reads
	})
}

func (e *Etcd) branchLocked(r *etcdserverpb.TxnRequest) *etcdserverpb.TxnResponse {
	response := &etcdserverpb.TxnResponse{Succeeded: !slices.ContainsFunc(r.Compare, func(c *etcdserverpb.Compare) bool { return !e.holdsLocked(c) })}
	ops := r.Success
	if !response.Succeeded {
		ops = r.Failure
	}
	for _, op := range ops {
		one := &etcdserverpb.ResponseOp{}
		switch op := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestRange:
			found, _ := e.rangeLocked(op.RequestRange) // checked
			one.Response = &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: found}
		case *etcdserverpb.RequestOp_RequestPut:
			e.putLocked(op.RequestPut)
			one.Response = &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{}}
		case *etcdserverpb.RequestOp_RequestDeleteRange:
			one.Response = &etcdserverpb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: e.deleteRangeLocked(op.RequestDeleteRange, false)}
		case *etcdserverpb.RequestOp_RequestTxn:
			one.Response = &etcdserverpb.ResponseOp_ResponseTxn{ResponseTxn: e.branchLocked(op.RequestTxn)}
		}
		response.Responses = append(response.Responses, one)
	}
	return response
}

// holdsLocked compares all keys of a range, as etcd does.
func (e *Etcd) holdsLocked(c *etcdserverpb.Compare) bool {
	if len(c.RangeEnd) == 0 {
		return compares(c, e.keyLocked(string(c.Key)))
	}
	found, _ := e.rangeLocked(&etcdserverpb.RangeRequest{Key: c.Key, RangeEnd: c.RangeEnd}) // as it is now
	if len(found.Kvs) == 0 {
		return compares(c, &mvccpb.KeyValue{})
	}
	return !slices.ContainsFunc(found.Kvs, func(kv *mvccpb.KeyValue) bool { return !compares(c, kv) })
}

// compares knows the comparisons of numbers.
func compares(c *etcdserverpb.Compare, kv *mvccpb.KeyValue) bool {
	var is, want int64
	switch c.Target {
	case etcdserverpb.Compare_CREATE:
		is, want = kv.CreateRevision, c.GetCreateRevision()
	case etcdserverpb.Compare_MOD:
		is, want = kv.ModRevision, c.GetModRevision()
	default:
		panic("a comparison that is not used: " + c.String())
	}
	switch c.Result {
	case etcdserverpb.Compare_EQUAL:
		return is == want
	case etcdserverpb.Compare_GREATER:
		return is > want
	case etcdserverpb.Compare_LESS:
		return is < want
	default:
		return is != want
	}
}

// atLocked returns the keys as they were; 0: as they are.
func (e *Etcd) atLocked(revision int64) (map[string]*mvccpb.KeyValue, error) {
	switch {
	case revision == 0 || revision == e.revision:
		return e.keys, nil
	case revision > e.revision:
		return nil, rpctypes.ErrGRPCFutureRev
	case revision < e.compacted:
		return nil, rpctypes.ErrGRPCCompacted
	}
	keys := map[string]*mvccpb.KeyValue{}
	for _, event := range e.history {
		switch {
		case event.Kv.ModRevision > revision:
		case event.Type == mvccpb.DELETE:
			delete(keys, string(event.Kv.Key))
		default:
			keys[string(event.Kv.Key)] = event.Kv
		}
	}
	return keys, nil
}

// within reports whether a key is in a range of etcd's: one key, or up to end, or
// all that follow if that is zero.
func within(key string, from, end []byte) bool {
	switch {
	case len(end) == 0:
		return key == string(from)
	case bytes.Equal(end, []byte{0}):
		return key >= string(from)
	default:
		return key >= string(from) && key < string(end)
	}
}

func (e *Etcd) rangeLocked(r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	keys, err := e.atLocked(r.Revision)
	if err != nil {
		return nil, err
	}
	response := &etcdserverpb.RangeResponse{Header: e.headerLocked()}
	for key, kv := range keys {
		if within(key, r.Key, r.RangeEnd) {
			response.Kvs = append(response.Kvs, kv)
		}
	}
	slices.SortFunc(response.Kvs, func(a, b *mvccpb.KeyValue) int { return strings.Compare(string(a.Key), string(b.Key)) })
	response.Count = int64(len(response.Kvs)) // of all, as etcd has it
	response.Kvs = slices.DeleteFunc(response.Kvs, func(kv *mvccpb.KeyValue) bool { return kv.ModRevision < r.MinModRevision })
	switch {
	case r.CountOnly:
		response.Kvs = nil
	case r.Limit > 0 && response.Count > r.Limit:
		response.Kvs, response.More = response.Kvs[:r.Limit], true
	}
	if r.KeysOnly {
		for i, kv := range response.Kvs {
			response.Kvs[i] = &mvccpb.KeyValue{Key: kv.Key, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version, Lease: kv.Lease}
		}
	}
	return response, nil
}

func (e *Etcd) putLocked(r *etcdserverpb.PutRequest) {
	key := string(r.Key)
	e.detachLocked(key)
	created := cmp.Or(e.keyLocked(key).CreateRevision, e.revision)
	kv := &mvccpb.KeyValue{Key: r.Key, Value: r.Value, CreateRevision: created, ModRevision: e.revision, Lease: r.Lease, Version: e.keyLocked(key).Version + 1}
	e.keys[key] = kv
	if l := e.leases[r.Lease]; l != nil {
		l.keys[key] = struct{}{}
	}
	e.history = append(e.history, &mvccpb.Event{Type: mvccpb.PUT, Kv: kv})
}

func (e *Etcd) deleteRangeLocked(r *etcdserverpb.DeleteRangeRequest, alone bool) *etcdserverpb.DeleteRangeResponse {
	response := &etcdserverpb.DeleteRangeResponse{}
	var keys []string
	for key := range e.keys {
		if within(key, r.Key, r.RangeEnd) {
			keys = append(keys, key)
		}
	}
	if alone && len(keys) > 0 {
		e.revision++
	}
	for _, key := range keys {
		e.deleteLocked(key)
		response.Deleted++
	}
	if alone {
		response.Header = e.headerLocked()
		e.publishLocked()
	}
	return response
}

func (e *Etcd) deleteLocked(key string) {
	if e.keys[key] == nil {
		return
	}
	e.detachLocked(key)
	delete(e.keys, key)
	e.history = append(e.history, &mvccpb.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: e.revision}})
}

func (e *Etcd) detachLocked(key string) {
	if l := e.leases[e.keyLocked(key).Lease]; l != nil {
		delete(l.keys, key)
	}
}
