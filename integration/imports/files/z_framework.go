// SPDX-License-Identifier: Apache-2.0

package main

import _ "dubbo.apache.org/dubbo-go/v3/imports"
