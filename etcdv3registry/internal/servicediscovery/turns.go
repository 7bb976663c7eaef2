// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/delivery"
)

// What the framework makes of an address, clients and connections, is shared by
// the whole process, and not made for two who begin at the same moment: one closes
// what the other is just opening. So these are of the process, too.
var (
	exchanges    delivery.Turns // who asks for metadata, by the address that is asked
	applications delivery.Turns // who tells of instances, by application
)

// Turn waits until nobody else in this process is being told of the instances of
// these applications, and returns what ends that; ok is false if ctx ended first.
func Turn(ctx context.Context, names ...string) (release func(), ok bool) {
	return applications.Take(ctx, names...)
}
