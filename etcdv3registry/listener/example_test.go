// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// A reader of its own looks at what changed under a prefix whenever it has
// time; what came and went meanwhile does not bother it.
func ExampleFeed() {
	var client *clientv3.Client
	hub := listener.NewHub(listener.Config{Dial: func(context.Context) (*clientv3.Client, error) { return client, nil }})
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{"127.0.0.1:2379"},
		DialOptions: []grpc.DialOption{grpc.WithChainStreamInterceptor(hub.StreamInterceptor())},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	defer hub.Close()

	feed := hub.Open("/config/")
	defer feed.Close()
	for range feed.Changed() {
		for _, change := range feed.Take() {
			if change.Deleted {
				fmt.Println("deleted:", change.Key)
			} else {
				fmt.Printf("%s is now %s\n", change.Key, change.Value)
			}
		}
	}
}
