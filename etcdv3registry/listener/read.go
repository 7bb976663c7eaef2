// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"dubbo.apache.org/dubbo-go/v3/common"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/parallel"
)

// meaning is what a key says.
type meaning struct {
	url *common.URL // nil: nothing
	id  string      // of the View
	err error
}

// readAll returns what some keys say, in their order. It reads on as many cores as
// there are.
func (v View) readAll(changes []Change) []meaning {
	all := make([]meaning, len(changes))
	parallel.Each(len(changes), func(i int) { all[i] = v.meaningOf(changes[i].Key) })
	return all
}

func (v View) meaningOf(key string) meaning {
	u, err := v.Read(key)
	if u == nil {
		return meaning{err: err}
	}
	return meaning{url: u, id: v.ID(key, u), err: err}
}
