// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
)

// serviceOf is what is shown of these URLs.
func serviceOf(t *testing.T, urls ...string) *service {
	t.Helper()
	c := newCatalog(newClock().now)
	for _, raw := range urls {
		c.Notify(added(t, raw))
	}
	require.Contains(t, read(c).services, greeter)
	return read(c).services[greeter]
}

func TestProvidersAreMarkedAsConsumersSeeThem(t *testing.T) {
	t.Parallel()
	const at = "10.0.0.1:20000"
	for name, c := range map[string]struct {
		urls     []string
		disabled bool
		weight   string
		changes  []param
	}{
		"plain":                        {urls: []string{provider(at, "")}},
		"the usual weight":             {urls: []string{provider(at, "&weight=100")}},
		"a weight of its own":          {urls: []string{provider(at, "&weight=0")}, weight: "0"},
		"none, as dubbo-go says it":    {urls: []string{provider(at, "&weight=0&release=dubbo-golang-3.3.2")}},
		"not enabled":                  {urls: []string{provider(at, "&enabled=false")}, disabled: true},
		"disabled by itself":           {urls: []string{provider(at, "&disabled=true")}, disabled: true},
		"disabled by an override":      {urls: []string{provider(at, ""), override(at, "&disabled=true")}, disabled: true, changes: []param{{"disabled", "true"}}},
		"weighted by one for all":      {urls: []string{provider(at, ""), override("0.0.0.0", "&weight=300")}, weight: "300", changes: []param{{"weight", "300"}}},
		"the last of two counts":       {urls: []string{provider(at, ""), override(at, "&weight=300"), override(at, "&weight=50")}, weight: "50", changes: []param{{"weight", "50"}}},
		"an override that came before": {urls: []string{override(at, "&weight=300"), provider(at, "")}, weight: "300", changes: []param{{"weight", "300"}}},
		"an override of another one":   {urls: []string{provider(at, ""), override("10.0.0.2:20000", "&disabled=true")}},
		"an override of another group": {urls: []string{provider(at, "&group=a"), override(at, "&disabled=true&group=b")}},
		"an override that is off":      {urls: []string{provider(at, ""), override(at, "&disabled=true&enabled=false")}},
		"something else is overridden": {urls: []string{provider(at, "&timeout=5"), override(at, "&timeout=9")}, changes: []param{{"timeout", "9"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serviceOf(t, c.urls...).Providers[0]
			require.Equal(t, c.disabled, p.Disabled, "disabled")
			require.Equal(t, c.weight, p.Weight, "weight")
			require.Equal(t, c.changes, p.Changes, "changes")
		})
	}
}

func TestOverridesShowWhatTheySetAndForWhom(t *testing.T) {
	t.Parallel()
	o := serviceOf(t, override("0.0.0.0", "&weight=300&application=shop&~method=a&group=eu&enabled=false")).Overrides[0]
	require.Empty(t, o.Address, "it is for all")
	require.Equal(t, []param{{"weight", "300"}}, o.Changes)
	require.Equal(t, []param{{"application", "shop"}, {"method", "a"}}, o.Conditions)
	require.Equal(t, "eu", o.Group)
	require.True(t, o.Disabled)

	o = serviceOf(t, override("10.0.0.1:20000", "&disabled=true")).Overrides[0]
	require.Equal(t, "10.0.0.1:20000", o.Address)
	require.False(t, o.Disabled, "it disables, and is in force")
}

func TestRoutersShowTheirRule(t *testing.T) {
	t.Parallel()
	const rule = "application = a => host = 10.0.0.1"
	for _, written := range []string{url.QueryEscape(rule), url.QueryEscape(url.QueryEscape(rule))} {
		r := serviceOf(t, "condition://0.0.0.0/"+greeter+"?category=routers&interface="+greeter+"&rule="+written).Routers[0]
		require.Equal(t, rule, r.Rule)
	}
}

func TestTimestampIsReadInSecondsAndMilliseconds(t *testing.T) {
	t.Parallel()
	started := newClock().Add(-time.Hour)
	for value, want := range map[string]int64{
		"1772362800":           started.UnixMilli(),
		"1772362800000":        started.UnixMilli(),
		"":                     0,
		"yesterday":            0,
		"-5":                   0,
		"1":                    0, // 1970
		"1999999999999":        0, // the future
		"9223372036854775807":  0,
		"99999999999999999999": 0,
	} {
		require.Equal(t, want, serviceOf(t, provider("10.0.0.1:20000", "&timestamp="+value)).Providers[0].Started, value)
	}
}

func TestSecretsDoNotReachThePage(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	s := serviceOf(t,
		"dubbo://user:"+secret+"@10.0.0.1:20880/"+greeter+"?interface="+greeter+"&password="+secret+"&Access-Key="+secret+"&token="+secret+
			"&db.pwd="+secret+"&client_secret="+secret+"&registry="+url.QueryEscape("etcdv3://root:"+secret+"@10.0.0.2:2379")+"&password-less="+
			"&auth="+secret+"&access.ak="+secret+"&sk="+secret+"&tls-key="+secret+"&cert="+secret+
			"&backup="+url.QueryEscape(url.QueryEscape("etcdv3://root:"+secret+"@10.0.0.2:2379"))+"&monkey=george&keyword=open",
		override("0.0.0.0", "&token="+secret+"&~password="+secret),
		"condition://0.0.0.0/"+greeter+"?category=routers&interface="+greeter+"&rule="+url.QueryEscape("=> http://u:"+secret+"@h"),
	)
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), secret)
	require.Contains(t, s.Providers[0].Params, param{"registry", "etcdv3://***@10.0.0.2:2379"})
	require.Equal(t, "10.0.0.1:20880", s.Providers[0].Address)
	require.Contains(t, s.Providers[0].Params, param{"monkey", "george"})
	require.Contains(t, s.Providers[0].Params, param{"keyword", "open"})
}

func TestWhatIsTooLongIsCut(t *testing.T) {
	t.Parallel()
	p := serviceOf(t, provider("10.0.0.1:20000", "&a="+strings.Repeat("ä", 5000)+strings.Repeat("&", 1)+"b=c")).Providers[0]
	require.Equal(t, "a", p.Params[0].Name)
	require.Equal(t, strings.Repeat("ä", mask.Longest/2)+"…", p.Params[0].Value)

	var many strings.Builder
	for i := range 2 * mostParams {
		many.WriteString("&p" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + "=1")
	}
	require.Len(t, serviceOf(t, provider("10.0.0.1:20000", many.String())).Providers[0].Params, mostParams)
}
