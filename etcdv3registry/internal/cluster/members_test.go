// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestAdvertisedEndpointsAreAddedToTheConfigured(t *testing.T) {
	member := func(urls ...string) *etcdserverpb.Member { return &etcdserverpb.Member{ClientURLs: urls} }
	for name, c := range map[string]struct {
		configured []string
		members    []*etcdserverpb.Member
		want       []string
	}{
		"the same": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{member("http://10.0.0.1:2379")},
			[]string{"10.0.0.1:2379"},
		},
		"others": {
			[]string{"etcd.example.com:2379"},
			[]*etcdserverpb.Member{member("https://10.0.0.1:2379", "https://10.0.1.1:2379"), member("https://[2001:db8::1]:2379")},
			[]string{"etcd.example.com:2379", "10.0.0.1:2379", "10.0.1.1:2379", "[2001:db8::1]:2379"},
		},
		"one that has not started yet": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{member()},
			[]string{"10.0.0.1:2379"},
		},
		"a learner": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{{IsLearner: true, ClientURLs: []string{"http://10.0.0.2:2379"}}},
			[]string{"10.0.0.1:2379"},
		},
		"etcd's default": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{member("http://localhost:2379"), member("http://127.0.0.1:2379", "http://[::1]:2379", "http://0.0.0.0:2379", "http://10.0.0.2:2379")},
			[]string{"10.0.0.1:2379", "10.0.0.2:2379"},
		},
		"etcd on this machine": {
			[]string{"localhost:2379"},
			[]*etcdserverpb.Member{member("http://127.0.0.1:2379"), member("http://127.0.0.1:22379")},
			[]string{"localhost:2379", "127.0.0.1:2379", "127.0.0.1:22379"},
		},
		"what is no host and port": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{member("unix:///var/run/etcd.sock", "http://10.0.0.2", "://", "")},
			[]string{"10.0.0.1:2379"},
		},
		"what cannot be dialled": {
			[]string{"10.0.0.1:2379"},
			[]*etcdserverpb.Member{member("http://:2379", "http://10.0.0.2:0", "http://10.0.0.2:99999", "http://a,b:1", "http://\u202e:1")},
			[]string{"10.0.0.1:2379"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, merge(c.configured, c.members))
		})
	}
}

func TestMoreEndpointsThanAClusterHasAreNotUsed(t *testing.T) {
	urls := make([]string, 10_000)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://etcd-%d:2379", i)
	}
	endpoints := merge([]string{"10.0.0.1:2379"}, []*etcdserverpb.Member{{ClientURLs: urls}})
	assert.Len(t, endpoints, 1+maxAdvertised)
}
