// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// gray is the tag of the provider that has one, and of a tagRule.
const gray = "gray"

// What the consumer of the tag sample asks for: the tag of its call, and whether
// it wants nobody else.
var (
	onlyGray      = service{Interface: greet.Interface, Alias: gray + " true"}
	onlyUnknown   = service{Interface: greet.Interface, Alias: "unknown true"}
	ratherGray    = service{Interface: greet.Interface, Alias: gray + " false"}
	ratherUnknown = service{Interface: greet.Interface, Alias: "unknown false"}
	untagged      = service{Interface: greet.Interface, Alias: " false"}
)

// consumeTagging makes one reference, and calls it with each of the tags.
func (c *child) consumeTagging(opts ...dubbo.InstanceOption) error {
	ins, err := c.instance(opts...)
	if err != nil {
		return err
	}
	cli, err := ins.NewClient()
	if err != nil {
		return err
	}
	conn, err := cli.DialWithInfo(greet.Interface, greet.clientInfo())
	if err != nil {
		return err
	}
	for _, s := range c.References {
		tag, force, _ := strings.Cut(s.Alias, " ")
		asking := map[string]string{constant.Tagkey: tag, constant.ForceUseTag: force}
		c.callBy(s, func(ctx context.Context) (string, error) {
			name, _, err := (&greetClient{conn: conn}).greet(context.WithValue(ctx, constant.AttachmentKey, asking))
			return name, err
		})
	}
	return nil
}

func TestTagSample(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	asks := []service{onlyGray, onlyUnknown, ratherGray, ratherUnknown, untagged}
	wantGray := []service{onlyGray, ratherGray}
	a := start(t, sampleProvider(t, etcd, plainProvider, "a", "tags", greet))
	b := start(t, sampleProvider(t, etcd, plainProvider, "b", "tags", greet))
	tagged := start(t, sampleProvider(t, etcd, grayProvider, "tagged", "tags", greet))
	awaitInstances(t, etcd, "tags", 3)
	plain := start(t, sampleConsumer(etcd, taggingConsumer, asks...)) // the sample has no config center
	ruled := start(t, governed(etcd, sampleConsumer(etcd, taggingConsumer, asks...)))
	called := func(c *process, v view) {
		t.Helper()
		awaitView(t, c, v)
		awaitOutcome(t, c, onlyUnknown, enough, true)
	}
	asThemselvesSay := of(wantGray, tagged).and(of([]service{ratherUnknown, untagged}, a, b))
	called(plain, asThemselvesSay)
	called(ruled, asThemselvesSay)

	// A rule gives the tag to others, and takes it from who had it.
	const key = "tags.tag-router"
	for _, ps := range [][2]*process{{a, b}, {b, a}, {a, b}} {
		putRule(t, etcd, key, tagRule("tags", ps[0].Address))
		called(ruled, of(wantGray, ps[0]).and(of([]service{untagged}, ps[1])).and(of([]service{ratherUnknown}, a, b)))
	}
	// It holds for who comes back.
	a = replace(t, etcd, a)
	called(ruled, of(wantGray, a).and(of([]service{untagged}, b)).and(of([]service{ratherUnknown}, a, b)))
	called(plain, asThemselvesSay)
	deleteRule(t, etcd, key)
	called(ruled, asThemselvesSay)

	tagged.terminate()
	tagged.awaitEnd()
	for _, c := range []*process{plain, ruled} {
		called(c, of([]service{ratherGray, ratherUnknown, untagged}, a, b))
		awaitOutcome(t, c, onlyGray, enough, true)
	}
}

// routing is a rule that has the calls of one application go to one port of
// another.
func routing(application string, port int) string {
	return fmt.Sprintf(`configVersion: V3.3.2
scope: "application"
key: %q
priority: 1
force: true
enabled: true
conditions:
  - from: {match: "application = caller"}
    to:
      - match: "port = %d"
`, application, port)
}

// scripting is a rule that has all calls of an application go to one port.
func scripting(application string, port int) string {
	return fmt.Sprintf(`scope: "application"
key: %q
enabled: true
type: "javascript"
script: |
  (function (all, call, ctx) {
    return all.filter(function (one) { return one.GetURL().Port === "%d"; });
  })(invokers, invocation, context);
`, application, port)
}

func TestConditionSample(t *testing.T) {
	t.Parallel()
	followsARule(t, "routed", "condition-router", routing)
}

func TestScriptSample(t *testing.T) {
	t.Parallel()
	followsARule(t, "scripted", "script-router", scripting)
}

// followsARule has two consumers follow a rule for the application of their
// providers: it is put, changed and deleted while one runs, and there when the
// other one starts. to is the rule that has them call one port.
func followsARule(t *testing.T, application, router string, to func(application string, port int) string) {
	etcd := etcdtest.Start(t)
	a := start(t, sampleProvider(t, etcd, plainProvider, "a", application, greet))
	b := start(t, sampleProvider(t, etcd, plainProvider, "b", application, greet))
	awaitInstances(t, etcd, application, 2)
	calling := governed(etcd, sampleConsumer(etcd, plainConsumer, greet))
	if router == "script-router" {
		calling.ConfigCenter += "?script-rules=true"
	}
	running := []*process{start(t, calling)}
	key := application + "." + router
	rule := func(p *process) { t.Helper(); putRule(t, etcd, key, to(application, portOf(p.Address))) }
	called := func(ps ...*process) {
		t.Helper()
		for _, c := range running {
			awaitView(t, c, of(calling.References, ps...))
		}
	}
	called(a, b)
	rule(a)
	called(a)
	running = append(running, start(t, calling))
	called(a)
	require.Equal(t, []string{a.Name}, slices.Collect(maps.Keys(running[1].calls(greet).By)), "called since it started")
	rule(b)
	called(b)
	for range 10 { // faster than they can be told
		rule(b)
		rule(a)
	}
	called(a)
	deleteRule(t, etcd, key)
	called(a, b)
	rule(b)
	called(b)

	// Who comes is not called, nor who comes back.
	d := start(t, sampleProvider(t, etcd, plainProvider, "d", application, greet))
	awaitInstance(t, etcd, d)
	a = replace(t, etcd, a)
	called(b)
	// The rule stays while etcd is away, and what changed meanwhile is heard of.
	etcd.Kill()
	called(b)
	etcd.Start()
	called(b)
	deleteRule(t, etcd, key)
	called(a, b, d)
	rule(d)
	called(d)
	deleteRule(t, etcd, key)
	called(a, b, d)
	for _, c := range running {
		requireNoFailure(t, c)
	}
}
