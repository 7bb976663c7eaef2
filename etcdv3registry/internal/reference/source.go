// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// source is where a subscription has its applications from.
type source interface {
	Open(application string, changed chan struct{}) (feed, error)
	OnOverrides(f func()) (undo func(), err error)
	Timeout() time.Duration
	Patience() *servicediscovery.Patience
}

// feed is what one application serves, as a servicediscovery.Feed.
type feed interface {
	Take() []servicediscovery.Change
	Settled() bool
	IsInstance(address string) bool
	Close()
}

// discovered is the source of a Discovery.
type discovered struct{ *servicediscovery.Discovery }

func (d discovered) Open(application string, changed chan struct{}) (feed, error) {
	return d.Discovery.Open(application, changed)
}
