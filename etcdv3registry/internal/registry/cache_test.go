// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"path/filepath"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// cached is a cache file as the registries of one process after another use it.
type cached struct {
	t    *testing.T
	file string
	*cache
}

func newCached(t *testing.T) *cached {
	c := &cached{t: t, file: filepath.Join(t.TempDir(), "registry.cache")}
	c.restart()
	t.Cleanup(c.end)
	return c
}

func (c *cached) restart() {
	if c.cache != nil {
		c.end()
	}
	c.cache = openCache(extension.NewUser(extension.Config{CachePath: func(string) string { return c.file }, SaveAtOnce: true, Root: "/dubbo"}, 0, nil), "shop")
}

func (c *cached) end() {
	c.user.End()
	require.NoError(c.t, c.user.Close())
}

// open is a subscription to categories of the service D.
func (c *cached) open(categories string) *cachedList {
	u := urltest.URL("consumer", "10.0.0.9", "", "org.a.D", constant.InterfaceKey, "org.a.D", constant.CategoryKey, categories)
	return c.list(u, newQuery(u))
}

const (
	providerOfD = "/dubbo/org.a.D/providers/tri%3A%2F%2F10.0.0.1%3A1%2Forg.a.D%3Fcategory%3Dproviders%26interface%3Dorg.a.D"
	ruleOfD     = "/dubbo/org.a.D/configurators/override%3A%2F%2F0.0.0.0%2Forg.a.D%3Fcategory%3Dconfigurators%26interface%3Dorg.a.D"
)

func saves(keys ...string) func() []string { return func() []string { return keys } }

// has is what a start without etcd finds.
func (c *cached) has() []string {
	c.restart()
	l := c.open("providers,configurators")
	defer l.end()
	keys, _ := l.Load()
	return keys
}

func TestCategoryThatEtcdWasNotHeardOfStaysInTheCache(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	c.open("providers,configurators").Save(saves(providerOfD, ruleOfD))
	require.ElementsMatch(t, []string{providerOfD, ruleOfD}, c.has())

	c.open("providers")
	c.open("configurators").Save(saves())
	assert.Equal(t, []string{providerOfD}, c.has(), "another subscription has not heard yet")
	c.open("configurators").Save(saves())
	assert.Equal(t, []string{providerOfD}, c.has(), "there is no other subscription")

	providers, rules := c.open("providers"), c.open("configurators")
	providers.Save(saves(providerOfD))
	rules.Save(saves(ruleOfD))
	providers.end()
	rules.Save(saves())
	assert.Equal(t, []string{providerOfD}, c.has(), "what it heard stays when it has ended")
	c.open("providers").Save(saves())
	assert.Empty(t, c.has(), "etcd has none")
}

// Two subscriptions to the same: of two protocols, say.
func TestSubscriptionThatHasNotHeardYetLosesNothingToAnother(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	c.open("providers").Save(saves(providerOfD))
	c.restart()
	c.open("providers")
	c.open("providers").Save(saves())
	assert.Equal(t, []string{providerOfD}, c.has())

	first, second := c.open("providers"), c.open("providers")
	first.Save(saves())
	second.Save(saves())
	assert.Empty(t, c.has())
}
