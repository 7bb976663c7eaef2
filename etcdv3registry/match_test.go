// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"slices"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// subscriptionURL is what a subscriber asks with; Java's subscribers do so
// with the protocol consumer, which names no RPC protocol.
func subscriptionURL(params ...string) *common.URL {
	return urlOf("consumer", "10.0.0.2", "", greeter, append([]string{"interface", greeter}, params...)...)
}

// sees reports whether a subscription is told of the URL in a category.
func sees(t *testing.T, subscription *common.URL, category, raw string) bool {
	t.Helper()
	read, err := parseURL(category, encode(raw))
	require.NoError(t, err, raw)
	key := "/dubbo/" + encode(read.Service()) + "/" + category + "/" + encode(raw)
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
		assert.Equal(t, c.want, sees(t, subscriptionURL(c.subscription...), providers, c.provider),
			"%s: %v subscribed, %s registered", c.what, c.subscription, c.provider)
	}
}

func TestASubscriptionSeesItsCategories(t *testing.T) {
	t.Parallel()
	entries := map[string]string{
		providers:     "dubbo://10.0.0.1:20880/org.example.Greeter",
		consumers:     "consumer://10.0.0.2/org.example.Greeter?category=consumers&protocol=dubbo",
		routers:       "condition://0.0.0.0/org.example.Greeter?category=routers",
		configurators: "override://0.0.0.0/org.example.Greeter?category=configurators",
	}
	for asked, want := range map[string][]string{
		"":                                     {providers},
		"providers":                            {providers},
		"consumers":                            {consumers},
		"configurators":                        {configurators},
		"providers,configurators,routers":      {providers, configurators, routers},
		"configurators, routers":               {configurators, routers},
		"*":                                    {providers, consumers, configurators, routers},
		"-consumers":                           {providers, configurators, routers},
		"-consumers,-routers":                  {providers, configurators},
		"dynamicconfigurators":                 {},
		"dynamicconfigurators,configurators":   {configurators},
		"appdynamicconfigurators,providers,xx": {providers},
	} {
		for category, raw := range entries {
			assert.Equal(t, slices.Contains(want, category), sees(t, subscriptionURL("category", asked), category, raw),
				"category=%q subscribed, an entry of %s", asked, category)
		}
	}
}

func TestTheCategoryThatAURLNamesMustMatchToo(t *testing.T) {
	t.Parallel()
	assert.False(t, sees(t, subscriptionURL("category", "configurators"), configurators, "override://0.0.0.0/org.example.Greeter?category=dynamicconfigurators"))
	assert.True(t, sees(t, subscriptionURL("category", "configurators"), configurators, "override://0.0.0.0/org.example.Greeter"))
}

func TestASubscriptionSeesProvidersOfTheProtocolThatItNames(t *testing.T) {
	t.Parallel()
	tri, dubbo := "tri://10.0.0.1:1/"+greeter, "dubbo://10.0.0.1:1/"+greeter
	for _, c := range []struct {
		what         string
		subscription *common.URL
		tri, dubbo   bool
	}{
		{"a reference of dubbo-go", urlOf("tri", "", "", greeter), true, false},
		{"a reference of dubbo-go, parameters do not count", urlOf("tri", "", "", greeter, "protocol", "dubbo"), true, false},
		{"a reference without a protocol", urlOf("", "", "", greeter), true, true},
		{"a reference of Java", urlOf("consumer", "", "", greeter), true, true},
		{"a reference of Java that names one", urlOf("consumer", "", "", greeter, "protocol", "dubbo"), false, true},
		{"a reference of Java that names two", urlOf("consumer", "", "", greeter, "protocol", "dubbo,tri"), true, true},
		{"a reference of Java to any", urlOf("consumer", "", "", greeter, "protocol", "*"), true, true},
		{"a reference read back from its key", urlOf("consumer", "", "", greeter, "protocol", "consumer"), true, true},
		{"an override listener", urlOf("provider", "", "", greeter), true, true},
		{"dubbo-admin", urlOf("admin", "", "", "*", "interface", "*"), true, true},
	} {
		assert.Equal(t, c.tri, sees(t, c.subscription, providers, tri), "%s, a tri provider", c.what)
		assert.Equal(t, c.dubbo, sees(t, c.subscription, providers, dubbo), "%s, a dubbo provider", c.what)
		c.subscription.SetParam("category", "configurators")
		assert.True(t, sees(t, c.subscription, configurators, "override://0.0.0.0/"+greeter), "%s, an override", c.what)
	}
}

func TestDubboAdminSeesEverything(t *testing.T) {
	t.Parallel()
	admin := urlOf("admin", "10.0.0.9", "", "*", "interface", "*", "group", "*", "version", "*", "classifier", "*",
		"category", "providers,consumers,routers,configurators", "enabled", "*", "check", "false")
	assert.Equal(t, "/dubbo/", newQuery(admin).prefix("/dubbo"))
	for category, raw := range map[string]string{
		providers:     "tri://10.0.0.1:1/a.B?group=g&version=1&enabled=false&classifier=c",
		consumers:     "consumer://10.0.0.2/a.B?category=consumers&group=g&version=1",
		routers:       "condition://0.0.0.0/a.B?category=routers&enabled=false",
		configurators: "override://0.0.0.0/a.B?category=configurators&dynamic=false",
	} {
		assert.True(t, sees(t, admin, category, raw), raw)
	}
}

func TestAQueryReadsNoMoreKeysThanItNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subscription *common.URL
		want         string
	}{
		{subscriptionURL(), "/tenant/dubbo/org.example.Greeter/providers/"},
		{subscriptionURL("category", "configurators"), "/tenant/dubbo/org.example.Greeter/configurators/"},
		{subscriptionURL("category", "providers,configurators"), "/tenant/dubbo/org.example.Greeter/"},
		{subscriptionURL("category", "*"), "/tenant/dubbo/org.example.Greeter/"},
		{subscriptionURL("category", "-consumers"), "/tenant/dubbo/org.example.Greeter/"},
		{subscriptionURL("interface", "org.example.Outer$Greeter"), "/tenant/dubbo/org.example.Outer%24Greeter/providers/"},
		{subscriptionURL("interface", "*"), "/tenant/dubbo/"},
	} {
		assert.Equal(t, c.want, newQuery(c.subscription).prefix("/tenant/dubbo"))
	}
}

func TestTheKeysUnderAPrefixAreThoseOfOneServiceOnly(t *testing.T) {
	t.Parallel()
	for _, category := range []string{"", "*", "providers", "providers,configurators"} {
		prefix := newQuery(subscriptionURL("category", category)).prefix("/dubbo")
		own, err := keyOf("/dubbo", urlOf("dubbo", "10.0.0.1", "1", greeter))
		require.NoError(t, err)
		assert.Contains(t, own.Name, prefix, "category=%q", category)
		for _, other := range []string{greeter + "2", greeter + "$Inner", greeter + "/x", "org.example.Greete", "x." + greeter} {
			key, err := keyOf("/dubbo", urlOf("dubbo", "10.0.0.1", "1", other))
			require.NoError(t, err)
			assert.NotContains(t, key.Name, prefix, "category=%q", category)
		}
	}
}

func TestKeysThatAreNotEntriesAreNoErrors(t *testing.T) {
	t.Parallel()
	view := newQuery(urlOf("admin", "", "", "*", "interface", "*", "category", "*")).view("/dubbo")
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
		u, err := view.Read("/dubbo/" + greeter + "/providers/" + garbage)
		assert.Error(t, err, "%q was read as %v", garbage, u)
		u, err = view.Read("/dubbo/" + greeter + "/routers/" + garbage)
		assert.NoError(t, err, garbage)
		assert.Nil(t, u, garbage)
	}
}

func TestEveryReadMakesAURLOfItsOwn(t *testing.T) {
	t.Parallel()
	key, err := keyOf("/dubbo", greeterProvider())
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
		key, err := keyOf("/dubbo", greeterProvider(params...))
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
	for _, category := range []string{consumers, routers, configurators} {
		key := "/dubbo/" + greeter + "/" + category + "/" + encode("override://0.0.0.0/"+greeter)
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
