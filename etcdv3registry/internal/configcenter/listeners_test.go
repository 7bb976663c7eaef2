// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheRulesOfAServiceOrAnApplicationAreOneWatch(t *testing.T) {
	for path, want := range map[string]string{
		"/dubbo/config/dubbo/org.e2e.Greeter:1.0.0:red.condition-router": "/dubbo/config/dubbo/org.e2e.Greeter:1.0.0:red.",
		"/dubbo/config/dubbo/org.e2e.Greeter::.configurators":            "/dubbo/config/dubbo/org.e2e.Greeter::.",
		"/dubbo/config/dubbo/shop.tag-router":                            "/dubbo/config/dubbo/shop.",
		"/dubbo/config/dubbo/shop":                                       "/dubbo/config/dubbo/shop",
		"/a.b/config/dubbo/shop":                                         "/a.b/config/dubbo/shop",
	} {
		assert.Equal(t, want, watched(path))
	}
}

func TestListenersWaitUntilNothingIsRead(t *testing.T) {
	var r reads
	begun := time.Now()
	r.wait(t.Context())
	assert.Less(t, time.Since(begun), quiet, "nothing was read")

	end := r.begin()
	time.AfterFunc(2*quiet, end)
	r.wait(t.Context())
	assert.GreaterOrEqual(t, time.Since(begun), 3*quiet, "until the read has ended, and a moment longer")

	_ = r.begin() // never ends
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(quiet, cancel)
	begun = time.Now()
	r.wait(ctx)
	assert.Less(t, time.Since(begun), maxQuiet, "until it is closed")
}
