// SPDX-License-Identifier: Apache-2.0

// Package config finds the configuration file of an example.
package config

import (
	"flag"
	"fmt"
	"os"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
)

// Flag adds the flag -config. Its default is the file that dubbo-go's own
// DUBBO_GO_CONFIG_PATH names, or else path.
func Flag(path string) *string {
	if env := os.Getenv(constant.ConfigFileEnvKey); env != "" {
		path = env
	}
	return flag.String("config", path, "the configuration file; "+constant.ConfigFileEnvKey+" sets the default")
}

// Load starts dubbo-go with the file at path.
//
// A process started with dubbo.Load of dubbo-go v3.3.2 takes a minute to end:
// at the end of its graceful shutdown dubbo-go waits for its own file watcher,
// which it has counted twice. Shutdown callbacks run in the order in which they
// were added, so the one here comes before that wait, and after the registry's.
func Load(path string) error {
	if _, err := os.Stat(path); err != nil { // dubbo-go would panic
		return fmt.Errorf("no configuration: %w (run from the root of the repository, or name it with -config)", err)
	}
	extension.AddCustomShutdownCallback(func() { os.Exit(0) })
	return dubbo.Load(dubbo.WithPath(path))
}
