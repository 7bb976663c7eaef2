// SPDX-License-Identifier: Apache-2.0

// Package show prints which registry the framework has under the name etcdv3.
package show

import (
	"fmt"
	"os"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
)

// Registry prints the type of the registry that dubbo-go makes for an address
// where nothing listens.
func Registry() {
	const address = "127.0.0.1:1"
	u, err := common.NewURL("etcdv3://"+address, common.WithLocation(address),
		common.WithParamsValue(constant.RegistryTimeoutKey, "100ms"))
	if err == nil {
		r, failed := extension.GetRegistry("etcdv3", u)
		err = failed
		fmt.Printf("%T\n", r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
