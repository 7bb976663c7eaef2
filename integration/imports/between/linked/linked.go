// SPDX-License-Identifier: Apache-2.0

// Package linked imports all of dubbo-go.
package linked

import _ "dubbo.apache.org/dubbo-go/v3/imports"
