// SPDX-License-Identifier: Apache-2.0

// Command filesreversed imports all of dubbo-go in its first file, and this
// registry in its last.
package main

import _ "dubbo.apache.org/dubbo-go/v3/imports"
