// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Each of these would end the process, in etcd's client or here.
func TestAnswersThatEtcdNeverGivesAreErrors(t *testing.T) {
	header := &etcdserverpb.ResponseHeader{Revision: 7}
	get := &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: []byte("a")}}}
	put := &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: []byte("a")}}}
	nested := &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{put}}}}
	found := func(kvs ...*mvccpb.KeyValue) *etcdserverpb.ResponseOp {
		return &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: &etcdserverpb.RangeResponse{Kvs: kvs}}}
	}
	done := &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{}}}
	nestedDone := &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponseTxn{ResponseTxn: &etcdserverpb.TxnResponse{
		Succeeded: true, Responses: []*etcdserverpb.ResponseOp{done},
	}}}
	txn := func(ops ...*etcdserverpb.RequestOp) *etcdserverpb.TxnRequest {
		return &etcdserverpb.TxnRequest{Success: ops, Failure: []*etcdserverpb.RequestOp{get}}
	}
	answered := func(succeeded bool, all ...*etcdserverpb.ResponseOp) *etcdserverpb.TxnResponse {
		return &etcdserverpb.TxnResponse{Header: header, Succeeded: succeeded, Responses: all}
	}
	key := &mvccpb.KeyValue{Key: []byte("a")}
	for name, c := range map[string]struct {
		request, answer any
		wrong           bool
	}{
		"Range":                  {nil, &etcdserverpb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{key}}, false},
		"RangeWithoutHeader":     {nil, &etcdserverpb.RangeResponse{}, true},
		"RangeOfNoKey":           {nil, &etcdserverpb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{nil}}, true},
		"RangeOfAKeyWithoutName": {nil, &etcdserverpb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{{}}}, true},
		"GrantWithoutHeader":     {nil, &etcdserverpb.LeaseGrantResponse{ID: 1}, true},
		"KeepAliveWithoutHeader": {nil, &etcdserverpb.LeaseKeepAliveResponse{ID: 1}, true},
		"WatchWithoutHeader":     {nil, &etcdserverpb.WatchResponse{Created: true}, true},
		"WatchOfNoEvent":         {nil, &etcdserverpb.WatchResponse{Header: header, Events: []*mvccpb.Event{nil}}, true},
		"WatchOfAnEventOfNoKey":  {nil, &etcdserverpb.WatchResponse{Header: header, Events: []*mvccpb.Event{{}}}, true},
		"Watch":                  {nil, &etcdserverpb.WatchResponse{Header: header, Events: []*mvccpb.Event{{Kv: key}}}, false},
		"Txn":                    {txn(get, put, nested), answered(true, found(key), done, nestedDone), false},
		"TxnThatFailed":          {txn(get, put, nested), answered(false, found()), false},
		"TxnOfTooFewAnswers":     {txn(get, put), answered(true, found()), true},
		"TxnOfNoAnswer":          {txn(get), answered(true, nil), true},
		"TxnOfAnotherAnswer":     {txn(get), answered(true, done), true},
		"TxnOfAReadForAPut":      {txn(put), answered(true, found()), true},
		"TxnOfNoNestedAnswer":    {txn(nested), answered(true, done), true},
		"TxnOfAKeyWithoutName":   {txn(get), answered(true, found(&mvccpb.KeyValue{})), true},
		"SomethingElse":          {nil, "an answer", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkAnswer(c.request, c.answer)
			assert.Equal(t, c.wrong, err != nil, "%v", err)
			assert.Equal(t, c.wrong, retry.CanPass(err), "it is tried again")
		})
	}
}
