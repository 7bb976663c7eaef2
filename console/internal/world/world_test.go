// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

var usual = keys.Layout{Root: "/dubbo", Services: "/services", Config: "/dubbo/config"}

// worldOf is that of keys and values. What is of a process is under a lease.
func worldOf(pairs ...string) *World {
	var entries []*Entry
	for i := 0; i < len(pairs); i += 2 {
		e := &Entry{Key: usual.Read(pairs[i], []byte(pairs[i+1]))}
		if e.Kind == keys.Instance || e.Kind == keys.Provider || e.Kind == keys.Consumer {
			e.Lease = 1
		}
		entries = append(entries, e)
	}
	return New(entries)
}

func provider(name, address, params string) string {
	return "/dubbo/" + name + "/providers/" + url.QueryEscape("tri://"+address+"/"+name+"?interface="+name+params)
}

func consumer(name, params string) string {
	return "/dubbo/" + name + "/consumers/" + url.QueryEscape("consumer://10.0.1.1/"+name+"?application=front&interface="+name+params)
}

func instance(application, address, revision string) (key, value string) {
	return "/services/" + application + "/" + address + ":20000", fmt.Sprintf(
		`{"serviceName":%q,"host":%q,"port":20000,"metadata":{"dubbo.metadata.revision":%q,"dubbo.metadata.storage-type":"remote"}}`, application, address, revision)
}

func metadata(application, revision, service, group string) (key, value string) {
	return "/dubbo/" + application + "/" + revision, fmt.Sprintf(
		`{"app":%q,"revision":%q,"services":{"x":{"name":%q,"group":%q,"protocol":"tri"}}}`, application, revision, service, group)
}

// texts are the problems of a world, as kind: text.
func texts(w *World) (all []string) {
	for _, p := range w.Problems() {
		all = append(all, string(p.Kind)+": "+p.Text)
	}
	return all
}

func TestBothLevelsAreJoined(t *testing.T) {
	t.Parallel()
	key, value := instance("shop", "10.0.0.1", "r1")
	meta, of := metadata("shop", "r1", "a.ByMetadata", "")
	w := worldOf(key, value, meta, of,
		"/dubbo/mapping/a.ByMapping", "shop,gone",
		"/dubbo/a.ByMapping", "", provider("a.ByMapping", "10.0.0.9:1", ""), "",
		"/dubbo/config/dubbo/shop.tag-router", "tags: []")
	require.Equal(t, []string{"a.ByMapping", "a.ByMetadata"}, w.Applications["shop"].Interfaces)
	require.Equal(t, []string{"gone", "shop"}, w.Interfaces["a.ByMapping"].Applications)
	require.Len(t, w.Interfaces["a.ByMapping"].Providers, 1)
	require.Len(t, w.Rules, 1)
	require.True(t, w.Alive("shop"))
	require.False(t, w.Alive("gone"))
}

func TestProblemsAreFoundTheWorstFirst(t *testing.T) {
	t.Parallel()
	key, value := instance("shop", "10.0.0.1", "r1")
	meta, of := metadata("shop", "r1", "a.B", "")
	old, oldValue := metadata("shop", "r0", "a.B", "")
	well := []string{key, value, meta, of, "/dubbo/mapping/a.B", "shop"}
	with := func(pairs ...string) *World { return worldOf(append(append([]string(nil), well...), pairs...)...) }
	require.Empty(t, texts(with()))
	require.Empty(t, texts(with(consumer("a.B", ""), "")), "the application serves it")

	require.Equal(t, []string{
		"no-provider: a.None has 1 consumer and no provider",
		"unreadable: this provider cannot be read: there is no protocol:// in it",
		"twice: a.Two is registered 2 times at tri://10.0.0.2:1",
		"gone-mapping: the mapping of a.C names the application gone, which has no instance",
		"gone-metadata: no instance of shop has the revision r0",
		"empty-service: a.Empty has a key for dubbo-admin and nothing below it",
	}, texts(with(
		consumer("a.None", ""), "", "/dubbo/a.B/providers/x", "",
		provider("a.Two", "10.0.0.2:1", "&timestamp=1"), "", provider("a.Two", "10.0.0.2:1", "&timestamp=2"), "",
		"/dubbo/mapping/a.C", "gone", old, oldValue, "/dubbo/a.Empty", "")))

	lost, lostValue := instance("lost", "10.0.0.3", "r9")
	require.Equal(t, []string{"no-metadata: the instance 10.0.0.3:20000 of lost has the revision r9, of which etcd has no metadata"},
		texts(worldOf(lost, lostValue)))
}

func TestAConsumerThatMatchesNothingIsToldWhy(t *testing.T) {
	t.Parallel()
	of := func(params string, others ...string) []string {
		pairs := []string{consumer("a.B", params), ""}
		for _, p := range others {
			pairs = append(pairs, p, "")
		}
		return texts(worldOf(pairs...))
	}
	blue, plain := provider("a.B", "10.0.0.1:1", "&group=blue&version=2.0"), provider("a.B", "10.0.0.2:1", "")
	for params, why := range map[string]string{
		"":                                  "it wants group (none), they have blue",
		"&group=green":                      "it wants group green, they have blue",
		"&group=blue":                       "it wants version (none), they have 2.0",
		"&group=*&version=1.0":              "it wants version 1.0, they have 2.0",
		"&group=*&version=*&protocol=dubbo": "it wants protocol dubbo, they have tri",
	} {
		require.Equal(t, []string{"no-match: the consumer front at 10.0.1.1 matches no provider of a.B: " + why}, of(params, blue), params)
	}
	for _, params := range []string{"&group=blue&version=2.0", "&group=*&version=*", "&group=red,blue&version=2.0&protocol=tri", "&group=*&version=*&protocol=consumer"} {
		require.Empty(t, of(params, blue), params)
	}
	require.Empty(t, of("", blue, plain))

	// What an application serves counts, where its metadata can be known.
	key, value := instance("shop", "10.0.0.1", "r1")
	meta, content := metadata("shop", "r1", "a.B", "blue")
	with := []string{consumer("a.B", ""), "", key, value, "/dubbo/mapping/a.B", "shop"}
	require.Equal(t, []string{"no-metadata: the instance 10.0.0.1:20000 of shop has the revision r1, of which etcd has no metadata"},
		texts(worldOf(with...)), "what it serves is not known")
	require.Contains(t, texts(worldOf(append(with, meta, content)...)), "no-match: the consumer front at 10.0.1.1 matches no provider of a.B: it wants group (none), they have blue")
}
