// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/timeline"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// answerTimeout is how long etcd may take before it counts as away.
const answerTimeout = 2 * time.Second

// etcdStatus says how etcd took the last question.
type etcdStatus string

const (
	notAsked etcdStatus = ""
	answers  etcdStatus = "answers"
	silent   etcdStatus = "silent"
	refuses  etcdStatus = "refuses" // credentials or permissions are missing
)

// askEtcd asks etcd whether it is there, again and again until ctx ends, and
// tells what it finds. A registry of dubbo-go has no way to say so, hence the
// connection of its own. The clock hears which revision etcd has.
func askEtcd(ctx context.Context, c config, clock *timeline.Clock, tell func(s etcdStatus, reason string)) {
	var client *clientv3.Client
	defer func() {
		if client != nil {
			_ = client.Close()
		}
	}()
	for {
		var err error
		if client == nil {
			client, err = c.Dial(ctx)
		}
		if err == nil {
			var answer *clientv3.GetResponse
			asking, cancel := context.WithTimeout(ctx, answerTimeout)
			asked := time.Now()
			if answer, err = client.Get(asking, c.Root()+"/"); err == nil { // what the registry reads begins so
				clock.Note(answer.Header.ClusterId, answer.Header.Revision, asked, time.Now())
			}
			cancel()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			tell(answers, "")
		case retry.CanPass(err):
			tell(silent, "")
		default:
			tell(refuses, err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.askEvery):
		}
	}
}
