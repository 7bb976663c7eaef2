// SPDX-License-Identifier: Apache-2.0

package governance

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// rules reads URLs as they are under configurators.
func rules(t *testing.T, raws ...string) []*common.URL {
	t.Helper()
	var urls []*common.URL
	for _, raw := range raws {
		u, err := layout.Parse(layout.Configurators, layout.Encode(raw))
		require.NoError(t, err, raw)
		urls = append(urls, u)
	}
	return urls
}

// exporting is what a provider does to itself: what it exports changes by what
// it is told to write over that.
type exporting struct {
	t      *testing.T
	url    *common.URL
	origin *Origin
}

func newExporting(t *testing.T, params ...string) *exporting {
	return &exporting{t, urltest.URL("provider", "10.0.0.1", "20000", urltest.Greeter, append([]string{"interface", urltest.Greeter, "application", "shop", "side", "provider"}, params...)...), &Origin{}}
}

// apply returns what the provider was told, and has it export that.
func (x *exporting) apply(raws ...string) map[string]string {
	x.t.Helper()
	NewExport(x.url, nil, x.origin)
	changes := x.origin.changes(x.url, rulesOf(rules(x.t, raws...)))
	x.url = x.url.Clone()
	for name, value := range changes {
		x.url.SetParam(name, value)
	}
	assert.Empty(x.t, x.origin.changes(x.url, rulesOf(rules(x.t, raws...))), "told the same again, it has nothing to change")
	return changes
}

func TestAProviderReturnsToWhatItWas(t *testing.T) {
	t.Parallel()
	x := newExporting(t, "timeout", "3000")
	assert.Empty(t, x.apply())
	const all = "override://0.0.0.0/org.example.Greeter?"
	assert.Equal(t, map[string]string{"timeout": "10", "mock": "yes"}, x.apply(all+"timeout=10&mock=yes&dynamic=false&enabled=true&priority=1"))
	assert.Equal(t, map[string]string{"timeout": "20", "mock": ""}, x.apply(all+"timeout=20"))
	assert.Equal(t, map[string]string{"timeout": "3000"}, x.apply())
	assert.Empty(t, x.apply())
	assert.Empty(t, x.origin.overridden)

	// What something else changes is not taken back.
	x.apply(all + "mock=yes")
	x.url.SetParam("timeout", "5000")
	assert.Equal(t, map[string]string{"mock": ""}, x.apply())
	assert.Equal(t, map[string]string{"timeout": "7"}, x.apply(all+"timeout=7"))
	assert.Equal(t, map[string]string{"timeout": "5000"}, x.apply())
}

func TestOfRulesThatContradictEachOtherOneCounts(t *testing.T) {
	t.Parallel()
	const all, one = "override://0.0.0.0/org.example.Greeter?", "override://10.0.0.1:20000/org.example.Greeter?"
	for want, raws := range map[string][]string{
		"1": {all + "timeout=1"},
		"2": {all + "timeout=1", all + "timeout=2"},
		"3": {all + "timeout=3&priority=1", all + "timeout=2"},
		"4": {one + "timeout=4", all + "timeout=3&priority=1"},
		"5": {one + "timeout=4", one + "timeout=5"},
		"":  {one + "timeout=4", "empty://0.0.0.0/org.example.Greeter", all + "timeout=3"},
	} {
		assert.Equal(t, want, newExporting(t).apply(raws...)["timeout"], "%v", raws)
	}
}

func TestWhichRulesAreForAProvider(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		"override://0.0.0.0/org.example.Greeter?x=1":                                       true,
		"override://10.0.0.1:20000/org.example.Greeter?x=1":                                true,
		"override://0.0.0.0:20000/org.example.Greeter?x=1":                                 true,
		"override://10.0.0.1:20001/org.example.Greeter?x=1":                                false,
		"override://10.0.0.2:20000/org.example.Greeter?x=1":                                false,
		"override://10.0.0.1/org.example.Greeter?x=1":                                      false, // a consumer's address
		"override:///org.example.Greeter?x=1":                                              false,
		"override://0.0.0.0/org.example.Greeter?x=1&application=shop":                      true,
		"override://0.0.0.0/org.example.Greeter?x=1&application=other":                     false,
		"override://0.0.0.0/org.example.Greeter?x=1&side=provider":                         true,
		"override://0.0.0.0/org.example.Greeter?x=1&side=consumer":                         false,
		"override://0.0.0.0/org.example.Greeter?x=1&~zone=east":                            true,
		"override://0.0.0.0/org.example.Greeter?x=1&~zone=west":                            false,
		"override://0.0.0.0/org.example.Greeter?x=1&providerAddresses=10.0.0.1:20000,a:1":  true,
		"override://0.0.0.0/org.example.Greeter?x=1&providerAddresses=10.0.0.2:20000,a:1":  false,
		"absent://0.0.0.0/org.example.Greeter?x=1":                                         true,
		"override://0.0.0.0/org.example.Greeter?x=1&version=2&group=g&interface=*&check=1": true,
	} {
		changes := newExporting(t, "zone", "east").apply(raw)
		if want {
			assert.Equal(t, map[string]string{"x": "1"}, changes, "%s: nothing but x is written, no condition and no version", raw)
		} else {
			assert.Empty(t, changes, raw)
		}
	}
	assert.Empty(t, newExporting(t, "x", "0").apply("absent://0.0.0.0/org.example.Greeter?x=1"))
}
