// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

func TestOfALargeApplicationAPageIsToldWhatChanged(t *testing.T) {
	t.Parallel()
	layout := keys.Layout{Root: "/dubbo", Services: "/services", Config: "/dubbo/config"}
	instance := func(i int, tag string) *world.Entry {
		name := fmt.Sprintf("/services/fleet/10.0.0.%03d:1", i)
		return &world.Entry{Key: layout.Read(name, fmt.Appendf(nil, `{"host":"10.0.0.%03d","port":1,"tag":%q}`, i, tag)), Lease: 1}
	}
	var entries []*world.Entry
	for i := range largeApplication + 2 {
		entries = append(entries, instance(i, ""))
	}
	v := &viewer{rows: map[*world.Entry]made{}}
	first := v.view(world.New(entries), nil)
	next := append([]*world.Entry{instance(1, "gray"), instance(999, "")}, entries[2:]...) // one is gone, one changed, one came
	second := v.view(world.New(next), nil)

	var m message
	m.ofView(first, second)
	require.Empty(t, m.Applications)
	require.Len(t, m.Parts, 1)
	require.Equal(t, "fleet", m.Parts[0].Name)
	require.Equal(t, []uint64{idOf("/services/fleet/10.0.0.000:1")}, m.Parts[0].InstancesGone)
	require.Equal(t, []string{"10.0.0.001:1", "10.0.0.999:1"}, addresses(m.Parts[0].Instances))
	require.Len(t, v.rows, largeApplication+2)

	m = message{}
	m.ofView(nil, second)
	require.Len(t, m.Applications, 1, "who knows nothing is told all")
	third := v.view(world.New(next), nil)
	require.Same(t, second.application("fleet"), third.application("fleet"), "nothing has changed")
}
