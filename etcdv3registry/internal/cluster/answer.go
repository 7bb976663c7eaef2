// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxAnswer is how many bytes one message of etcd may have. etcd itself takes no
// request, and so has no value, of more than 1.5 MiB by default; of a listing that
// does not fit fewer keys are asked for at once.
const maxAnswer = 64 << 20

// headed is an answer of etcd: each has a header.
type headed interface {
	GetHeader() *etcdserverpb.ResponseHeader
}

// checkAnswer returns an error for what etcd never answers. Something else may
// answer in its place (a broken proxy, another program), and etcd's client panics
// over it, in goroutines of its own. The error counts as an etcd that is away.
func checkAnswer(request, answer any) error {
	if a, ok := answer.(headed); ok && a.GetHeader() == nil {
		return senseless("has no header")
	}
	switch a := answer.(type) {
	case *etcdserverpb.RangeResponse:
		return checkKeys(a.Kvs)
	case *etcdserverpb.TxnResponse:
		asked, _ := request.(*etcdserverpb.TxnRequest)
		return checkTxn(asked, a)
	case *etcdserverpb.WatchResponse:
		for _, e := range a.Events {
			if e == nil {
				return senseless("has an event that is none")
			}
			if err := checkKeys([]*mvccpb.KeyValue{e.Kv}); err != nil {
				return err
			}
		}
	}
	return nil
}

func senseless(how string) error {
	return status.Errorf(codes.Internal, "what answers as etcd is none, or is broken: its answer %s", how)
}

func checkKeys(kvs []*mvccpb.KeyValue) error {
	for _, kv := range kvs {
		if kv == nil || len(kv.Key) == 0 {
			return senseless("has a key without a name")
		}
	}
	return nil
}

// checkTxn looks whether each operation has an answer of its own kind.
func checkTxn(asked *etcdserverpb.TxnRequest, answer *etcdserverpb.TxnResponse) error {
	if asked == nil {
		return nil
	}
	ops := asked.Failure
	if answer.Succeeded {
		ops = asked.Success
	}
	if len(ops) != len(answer.Responses) {
		return senseless("to a transaction is not of as many operations")
	}
	for i, op := range ops {
		if err := checkOp(op, answer.Responses[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkOp(op *etcdserverpb.RequestOp, answer *etcdserverpb.ResponseOp) error {
	wrong := senseless("to a transaction is one to another")
	if answer == nil {
		return wrong
	}
	switch {
	case op.GetRequestRange() != nil:
		found := answer.GetResponseRange()
		if found == nil {
			return wrong
		}
		return checkKeys(found.Kvs)
	case op.GetRequestTxn() != nil:
		nested := answer.GetResponseTxn()
		if nested == nil {
			return wrong
		}
		return checkTxn(op.GetRequestTxn(), nested)
	case answer.GetResponseRange() != nil || answer.GetResponseTxn() != nil:
		return wrong
	default:
		return nil
	}
}
