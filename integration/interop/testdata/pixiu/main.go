// SPDX-License-Identifier: Apache-2.0

// Pixiu is a gateway with what calls services of the dubbo protocol, and with the
// registry on etcd of its dubbo-go.
package main

import (
	_ "dubbo.apache.org/dubbo-go/v3/registry/etcdv3"
	"github.com/apache/dubbo-go-pixiu/pixiu/pkg/cmd"
	_ "github.com/apache/dubbo-go-pixiu/pixiu/pkg/filter/http/remote"
	_ "github.com/apache/dubbo-go-pixiu/pixiu/pkg/filter/network/httpconnectionmanager"
	_ "github.com/apache/dubbo-go-pixiu/pixiu/pkg/listener/http"
)

func main() { _ = cmd.GatewayCmd.Execute() }
