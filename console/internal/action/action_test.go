// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"testing"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	etcdtest.Main(m)
}

// Whatever is in a key or a value: the command does what the console does, in a shell.
func TestTheCommandDoesWhatTheConsoleDoes(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	client := etcd.Client()
	for _, text := range []string{"plain", "it's \"quoted\"", "lines\n  indented: ü\ttab\n", `back\slash $HOME $(id) ` + "`id`", "EOF", "", "%41"} {
		created := Change{Key: "/by/command/" + text, Value: text}
		etcd.Shell(created.Command(""))
		got, ok := testkit.Value(t, client, created.Key)
		require.True(t, ok, text)
		require.Equal(t, text, got)

		now, err := Read(t.Context(), client, created.Key)
		require.NoError(t, err)
		now.Delete = true
		stale := now
		stale.Revision--
		etcd.Shell(stale.Command(""))
		_, ok = testkit.Value(t, client, created.Key)
		require.True(t, ok, "the key was changed meanwhile")
		etcd.Shell(now.Command(""))
		_, ok = testkit.Value(t, client, created.Key)
		require.False(t, ok, text)
	}
}

func TestAChangeIsMadeOnlyIfTheKeyIsAsItWasSeen(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client()
	c := Change{Key: "/a", Value: "1"}
	revision, err := c.Apply(t.Context(), client)
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), client)
	require.ErrorIs(t, err, ErrMeanwhile, "it exists")
	c.Revision, c.Value = revision, "2"
	_, err = c.Apply(t.Context(), client)
	require.NoError(t, err)
	c.Delete = true
	_, err = c.Apply(t.Context(), client)
	require.ErrorIs(t, err, ErrMeanwhile)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Read(ended, client, "/a")
	require.Error(t, err)
}

func TestFlagsNameTheEtcdAndNoPassword(t *testing.T) {
	t.Parallel()
	require.Equal(t, " --endpoints=h:1,i:2", Flags([]string{"h:1", "i:2"}, "", "", "", ""))
	require.Equal(t, " --endpoints=https://h:1 --user=op --cacert='/my ca.pem' --cert=/c --key=/k", Flags([]string{"h:1"}, "op", "/my ca.pem", "/c", "/k"))
	require.Equal(t, `'it'\''s'`, shellQuote("it's"))
}

func TestTagsOfOthersStayInTheRule(t *testing.T) {
	t.Parallel()
	const rule = "configVersion: v3.0\nforce: true\nkey: shop\nenabled: true\nmine: 1\ntags:\n- name: gray\n  addresses: [a:1, b:1]\n- name: by-zone\n  match: [{key: zone}]\n"
	changed, err := Tag(rule, "shop", "b:1", "blue")
	require.NoError(t, err)
	require.True(t, HasTag(changed, "a:1", "gray"))
	require.False(t, HasTag(changed, "b:1", "gray"))
	require.True(t, HasTag(changed, "b:1", "blue"))
	var content map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(changed), &content))
	require.Equal(t, 1, content["mine"])
	require.Equal(t, true, content["force"])
	require.Len(t, content["tags"], 3)

	changed, err = Tag(changed, "shop", "b:1", "")
	require.NoError(t, err)
	require.False(t, HasTag(changed, "b:1", "blue"))
	require.NotContains(t, changed, "blue", "it is for nobody")

	for _, bad := range []string{"[", "- a", "tags: x", "tags: [x]"} {
		_, err = Tag(bad, "shop", "b:1", "blue")
		require.Error(t, err, bad)
	}
	created, err := Tag("", "shop", "b:1", "blue")
	require.NoError(t, err)
	require.True(t, HasTag(created, "b:1", "blue"))
	require.Contains(t, created, "key: shop")
}

func TestRulesAreLookedAt(t *testing.T) {
	t.Parallel()
	require.NoError(t, CheckRule("shop.tag-router", "enabled: true"))
	for _, bad := range []string{"", "[", "- a", "text"} {
		require.Error(t, CheckRule("shop.tag-router", bad), bad)
	}
	require.NoError(t, CheckRule("shop.script-router", "function () { return 1 }"))
	for _, ok := range []string{"0", "100", "10000"} {
		require.NoError(t, CheckWeight(ok))
	}
	for _, bad := range []string{"", "-1", "10001", "1.5", "many"} {
		require.Error(t, CheckWeight(bad), bad)
	}
}
