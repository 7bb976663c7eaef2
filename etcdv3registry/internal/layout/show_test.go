// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeyShowsNeitherCredentialsNorParameters(t *testing.T) {
	const prefix = "/dubbo/org.a.Greeter/providers/"
	for raw, want := range map[string]string{
		"tri://10.0.0.1:20000/org.a.Greeter":                  "tri%3A%2F%2F10.0.0.1%3A20000%2Forg.a.Greeter",
		"tri://10.0.0.1:20000/org.a.Greeter?token=s3cret&a=b": "tri%3A%2F%2F10.0.0.1%3A20000%2Forg.a.Greeter...",
		"tri://me:s3cret@10.0.0.1:20000/x?a=b":                "***%4010.0.0.1%3A20000%2Fx...",
		"tri://me:s3@cret@10.0.0.1:20000/x":                   "***%4010.0.0.1%3A20000%2Fx",
	} {
		assert.Equal(t, prefix+want, Show(prefix+url.QueryEscape(raw)))
	}
}
