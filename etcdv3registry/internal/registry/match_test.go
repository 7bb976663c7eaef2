// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// subscriptionURL is what a subscriber asks with; Java's subscribers do so
// with the protocol consumer, which names no RPC protocol.
func subscriptionURL(params ...string) *common.URL {
	return urltest.URL("consumer", "10.0.0.2", "", urltest.Greeter, append([]string{"interface", urltest.Greeter}, params...)...)
}

// sees reports whether a subscription is told of the URL in a category.
func sees(t *testing.T, subscription *common.URL, category, raw string) bool {
	t.Helper()
	read, err := layout.Parse(category, layout.Encode(raw))
	require.NoError(t, err, raw)
	key := "/dubbo/" + layout.Encode(read.Service()) + "/" + category + "/" + layout.Encode(raw)
	q := newQuery(subscription)
	u, err := q.view("/dubbo").Read(key)
	require.NoError(t, err, key)
	return u != nil
}

func TestASubscriptionSeesWhatUrlUtilsIsMatchOfJavaSays(t *testing.T) {
	t.Parallel()
	const provider = "dubbo://10.0.0.1:20880/org.example.Greeter?interface=org.example.Greeter"
	for _, c := range []struct {
		what         string
		subscription []string
		provider     string
		want         bool
	}{
		{"the same interface", nil, provider, true},
		{"another interface", nil, "dubbo://10.0.0.1:20880/org.example.Other?interface=org.example.Other", false},
		{"a longer interface", nil, "dubbo://10.0.0.1:20880/org.example.Greeter2?interface=org.example.Greeter2", false},
		{"any interface", []string{"interface", "*"}, "dubbo://10.0.0.1:20880/org.example.Other?interface=org.example.Other", true},
		{"a provider of any interface", nil, "dubbo://10.0.0.1:20880/*?interface=*", true},
		{"the interface by its path", nil, "dubbo://10.0.0.1:20880/org.example.Greeter", true},

		{"group, both without", nil, provider, true},
		{"group, only the provider's", nil, provider + "&group=blue", false},
		{"group, only the consumer's", []string{"group", "blue"}, provider, false},
		{"group, equal", []string{"group", "blue"}, provider + "&group=blue", true},
		{"group, another", []string{"group", "blue"}, provider + "&group=green", false},
		{"group, a part of the name", []string{"group", "blue"}, provider + "&group=blu", false},
		{"group, any, of none", []string{"group", "*"}, provider, true},
		{"group, any, of one", []string{"group", "*"}, provider + "&group=blue", true},
		{"group, the first of a list", []string{"group", "blue,green"}, provider + "&group=blue", true},
		{"group, the last of a list", []string{"group", "blue , green"}, provider + "&group=green", true},
		{"group, none of a list", []string{"group", "blue,green"}, provider + "&group=red", false},
		{"group, none for a list", []string{"group", "blue,green"}, provider, false},
		{"group, none for a list that ends in a comma", []string{"group", "blue,"}, provider, false},
		{"group, with a space in it", []string{"group", "light blue"}, provider + "&group=light blue", true},
		{"group, with a space in a list", []string{"group", "green, light blue"}, provider + "&group=light blue", true},

		{"version, equal", []string{"version", "1.0.0"}, provider + "&version=1.0.0", true},
		{"version, another", []string{"version", "1.0.0"}, provider + "&version=1.0.1", false},
		{"version, only the provider's", nil, provider + "&version=1.0.0", false},
		{"version, only the consumer's", []string{"version", "1.0.0"}, provider, false},
		{"version, any, of none", []string{"version", "*"}, provider, true},
		{"version, any, of one", []string{"version", "*"}, provider + "&version=1.0.0", true},
		{"version, a list is none", []string{"version", "1.0.0,2.0.0"}, provider + "&version=1.0.0", false},

		{"classifier, none asked for", nil, provider + "&classifier=x", true},
		{"classifier, any", []string{"classifier", "*"}, provider + "&classifier=x", true},
		{"classifier, equal", []string{"classifier", "x"}, provider + "&classifier=x", true},
		{"classifier, another", []string{"classifier", "x"}, provider + "&classifier=y", false},
		{"classifier, not the provider's", []string{"classifier", "x"}, provider, false},

		{"enabled", nil, provider + "&enabled=true", true},
		{"disabled", nil, provider + "&enabled=false", false},
		{"disabled, and asked for", []string{"enabled", "*"}, provider + "&enabled=false", true},
		{"disabled, and enabled asked for", []string{"enabled", "true"}, provider + "&enabled=false", false},
	} {
		assert.Equal(t, c.want, sees(t, subscriptionURL(c.subscription...), layout.Providers, c.provider),
			"%s: %v subscribed, %s registered", c.what, c.subscription, c.provider)
	}
}

func TestASubscriptionSeesItsCategories(t *testing.T) {
	t.Parallel()
	entries := map[string]string{
		layout.Providers:     "dubbo://10.0.0.1:20880/org.example.Greeter",
		layout.Consumers:     "consumer://10.0.0.2/org.example.Greeter?category=consumers&protocol=dubbo",
		layout.Routers:       "condition://0.0.0.0/org.example.Greeter?category=routers",
		layout.Configurators: "override://0.0.0.0/org.example.Greeter?category=configurators",
	}
	for asked, want := range map[string][]string{
		"":                                     {layout.Providers},
		"providers":                            {layout.Providers},
		"consumers":                            {layout.Consumers},
		"configurators":                        {layout.Configurators},
		"providers,configurators,routers":      {layout.Providers, layout.Configurators, layout.Routers},
		"configurators, routers":               {layout.Configurators, layout.Routers},
		"*":                                    {layout.Providers, layout.Consumers, layout.Configurators, layout.Routers},
		"-consumers":                           {layout.Providers, layout.Configurators, layout.Routers},
		"-consumers,-routers":                  {layout.Providers, layout.Configurators},
		"dynamicconfigurators":                 {},
		"dynamicconfigurators,configurators":   {layout.Configurators},
		"appdynamicconfigurators,providers,xx": {layout.Providers},
	} {
		for category, raw := range entries {
			assert.Equal(t, slices.Contains(want, category), sees(t, subscriptionURL("category", asked), category, raw),
				"category=%q subscribed, an entry of %s", asked, category)
		}
	}
}

func TestTheCategoryThatAURLNamesMustMatchToo(t *testing.T) {
	t.Parallel()
	assert.False(t, sees(t, subscriptionURL("category", "configurators"), layout.Configurators, "override://0.0.0.0/org.example.Greeter?category=dynamicconfigurators"))
	assert.True(t, sees(t, subscriptionURL("category", "configurators"), layout.Configurators, "override://0.0.0.0/org.example.Greeter"))
}

func TestASubscriptionSeesProvidersOfTheProtocolThatItNames(t *testing.T) {
	t.Parallel()
	tri, dubbo := "tri://10.0.0.1:1/"+urltest.Greeter, "dubbo://10.0.0.1:1/"+urltest.Greeter
	for _, c := range []struct {
		what         string
		subscription *common.URL
		tri, dubbo   bool
	}{
		{"a reference of dubbo-go", urltest.URL("tri", "", "", urltest.Greeter), true, false},
		{"a reference of dubbo-go, parameters do not count", urltest.URL("tri", "", "", urltest.Greeter, "protocol", "dubbo"), true, false},
		{"a reference without a protocol", urltest.URL("", "", "", urltest.Greeter), true, true},
		{"a reference of Java", urltest.URL("consumer", "", "", urltest.Greeter), true, true},
		{"a reference of Java that names one", urltest.URL("consumer", "", "", urltest.Greeter, "protocol", "dubbo"), false, true},
		{"a reference of Java that names two", urltest.URL("consumer", "", "", urltest.Greeter, "protocol", "dubbo,tri"), true, true},
		{"a reference of Java to any", urltest.URL("consumer", "", "", urltest.Greeter, "protocol", "*"), true, true},
		{"a reference read back from its key", urltest.URL("consumer", "", "", urltest.Greeter, "protocol", "consumer"), true, true},
		{"an override listener", urltest.URL("provider", "", "", urltest.Greeter), true, true},
		{"dubbo-admin", urltest.URL("admin", "", "", "*", "interface", "*"), true, true},
	} {
		assert.Equal(t, c.tri, sees(t, c.subscription, layout.Providers, tri), "%s, a tri provider", c.what)
		assert.Equal(t, c.dubbo, sees(t, c.subscription, layout.Providers, dubbo), "%s, a dubbo provider", c.what)
		c.subscription.SetParam("category", "configurators")
		assert.True(t, sees(t, c.subscription, layout.Configurators, "override://0.0.0.0/"+urltest.Greeter), "%s, an override", c.what)
	}
}

func TestAProviderThatIsNotGenericLeavesItToTheConsumer(t *testing.T) {
	t.Parallel()
	const provider = "tri://10.0.0.1:50051/org.example.Greeter?interface=org.example.Greeter&generic="
	for generic, want := range map[string]string{"false": "true", "true": "true", "gson": "gson"} {
		key := "/dubbo/org.example.Greeter/providers/" + layout.Encode(provider+generic)
		consumer := subscriptionURL("generic", "true")
		u, err := newQuery(consumer).view("/dubbo").Read(key)
		require.NoError(t, err)
		assert.Equal(t, want, u.MergeURL(consumer).GetParam("generic", ""), "of a provider with generic=%s", generic)
	}
}

func TestDubboAdminSeesEverything(t *testing.T) {
	t.Parallel()
	admin := urltest.URL("admin", "10.0.0.9", "", "*", "interface", "*", "group", "*", "version", "*", "classifier", "*",
		"category", "providers,consumers,routers,configurators", "enabled", "*", "check", "false")
	assert.Equal(t, []string{"/dubbo/"}, newQuery(admin).prefixes("/dubbo"))
	for category, raw := range map[string]string{
		layout.Providers:     "tri://10.0.0.1:1/a.B?group=g&version=1&enabled=false&classifier=c",
		layout.Consumers:     "consumer://10.0.0.2/a.B?category=consumers&group=g&version=1",
		layout.Routers:       "condition://0.0.0.0/a.B?category=routers&enabled=false",
		layout.Configurators: "override://0.0.0.0/a.B?category=configurators&dynamic=false",
	} {
		assert.True(t, sees(t, admin, category, raw), raw)
	}
}

func TestAQueryReadsNoMoreKeysThanItNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subscription *common.URL
		want         []string
	}{
		{subscriptionURL(), []string{"org.example.Greeter/providers/"}},
		{subscriptionURL("category", "configurators"), []string{"org.example.Greeter/configurators/"}},
		{subscriptionURL("category", "providers,configurators"), []string{"org.example.Greeter/providers/", "org.example.Greeter/configurators/"}},
		{subscriptionURL("category", "*"), []string{"org.example.Greeter/"}},
		{subscriptionURL("category", "-consumers"), []string{"org.example.Greeter/providers/", "org.example.Greeter/routers/", "org.example.Greeter/configurators/"}},
		{subscriptionURL("interface", "org.example.Outer$Greeter"), []string{"org.example.Outer%24Greeter/providers/"}},
		{subscriptionURL("interface", "*"), []string{""}},
	} {
		var got []string
		for _, prefix := range newQuery(c.subscription).prefixes("/tenant/dubbo") {
			got = append(got, strings.TrimPrefix(prefix, "/tenant/dubbo/"))
		}
		assert.Equal(t, c.want, got)
	}
}

func TestTheKeysUnderAPrefixAreThoseOfOneServiceOnly(t *testing.T) {
	t.Parallel()
	for _, category := range []string{"", "*", "providers", "providers,configurators"} {
		prefix := newQuery(subscriptionURL("category", category)).prefixes("/dubbo")[0]
		own, err := layout.KeyOf("/dubbo", urltest.URL("dubbo", "10.0.0.1", "1", urltest.Greeter))
		require.NoError(t, err)
		assert.Contains(t, own.Name, prefix, "category=%q", category)
		for _, other := range []string{urltest.Greeter + "2", urltest.Greeter + "$Inner", urltest.Greeter + "/x", "org.example.Greete", "x." + urltest.Greeter} {
			key, err := layout.KeyOf("/dubbo", urltest.URL("dubbo", "10.0.0.1", "1", other))
			require.NoError(t, err)
			assert.NotContains(t, key.Name, prefix, "category=%q", category)
		}
	}
}

func TestKeysThatAreNotEntriesAreNoErrors(t *testing.T) {
	t.Parallel()
	view := newQuery(urltest.URL("admin", "", "", "*", "interface", "*", "category", "*")).view("/dubbo")
	for _, key := range []string{"", "/dubbo", "/dubbo/a.B", "/dubbo/a.B/providers", "/dubbo/config/dubbo/x.properties", "/dubbo/mapping/a.B", "/other/a.B/providers/x"} {
		u, err := view.Read(key)
		assert.NoError(t, err, key)
		assert.Nil(t, u, key)
	}
}

func TestEntriesThatCannotBeReadAreErrorsUnlessTheyAreOfACategoryNotAskedFor(t *testing.T) {
	t.Parallel()
	view := newQuery(subscriptionURL()).view("/dubbo")
	for _, garbage := range []string{"", "x", "%", "%zz", "a/b", "dubbo://a:1/x", "%3A%2F%2F", "dubbo%3A%2F%2Fa%3Ab%3Ac", "\x00", "\xff\xfe"} {
		u, err := view.Read("/dubbo/" + urltest.Greeter + "/providers/" + garbage)
		assert.Error(t, err, "%q was read as %v", garbage, u)
		u, err = view.Read("/dubbo/" + urltest.Greeter + "/routers/" + garbage)
		assert.NoError(t, err, garbage)
		assert.Nil(t, u, garbage)
	}
}

func TestEveryReadMakesAURLOfItsOwn(t *testing.T) {
	t.Parallel()
	key, err := layout.KeyOf("/dubbo", urltest.Provider())
	require.NoError(t, err)
	view := newQuery(subscriptionURL()).view("/dubbo")
	one, err := view.Read(key.Name)
	require.NoError(t, err)
	one.SetParam("weight", "0")
	two, err := view.Read(key.Name)
	require.NoError(t, err)
	assert.Empty(t, two.GetParam("weight", ""))
}

func TestAProviderStaysTheSameWhateverItsParametersButForGroupVersionAndStart(t *testing.T) {
	t.Parallel()
	id := func(subscription *common.URL, params ...string) string {
		key, err := layout.KeyOf("/dubbo", urltest.Provider(params...))
		require.NoError(t, err)
		view := newQuery(subscription).view("/dubbo")
		u, err := view.Read(key.Name)
		require.NoError(t, err)
		require.NotNil(t, u, key.Name)
		return view.ID(key.Name, u)
	}
	anyone := subscriptionURL("group", "*", "version", "*")
	assert.Equal(t, id(anyone), id(anyone, "weight", "200", "timeout", "1"))
	for _, params := range [][]string{{"group", "g"}, {"version", "1"}, {"timestamp", "1800000000"}} {
		assert.NotEqual(t, id(anyone), id(anyone, params...), "%v", params)
	}
	all := subscriptionURL("interface", "*")
	assert.NotEqual(t, id(all), id(all, "weight", "200"), "dubbo-admin sees keys")
}

func TestEntriesOtherThanProvidersStandForThemselves(t *testing.T) {
	t.Parallel()
	view := newQuery(subscriptionURL("category", "*")).view("/dubbo")
	for _, category := range []string{layout.Consumers, layout.Routers, layout.Configurators} {
		key := "/dubbo/" + urltest.Greeter + "/" + category + "/" + layout.Encode("override://0.0.0.0/"+urltest.Greeter)
		u, err := view.Read(key)
		require.NoError(t, err)
		assert.Equal(t, key, view.ID(key, u))
	}
}

func TestSeveralCategoriesAreReadWithoutTheOthers(t *testing.T) {
	t.Parallel()
	const root = "/dubbo/org.example.Greeter/"
	for category, want := range map[string][]string{
		"":                                {root + "providers/"},
		"configurators":                   {root + "configurators/"},
		"providers,configurators,routers": {root + "providers/", root + "routers/", root + "configurators/"},
		"-consumers":                      {root + "providers/", root + "routers/", root + "configurators/"},
		"-consumers,-routers":             {root + "providers/", root + "configurators/"},
		"providers,unknown":               {root + "providers/"},
		"unknown":                         {root},
		"*":                               {root},
		"providers,consumers,routers,configurators": {root},
	} {
		assert.Equal(t, want, newQuery(subscriptionURL("category", category)).prefixes("/dubbo"), category)
	}
	assert.Equal(t, []string{"/dubbo/"}, newQuery(subscriptionURL("interface", "*", "category", "providers,consumers")).prefixes("/dubbo"))
}
