// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// view says who answers the calls of each reference of a consumer.
type view map[service][]*process

// of is the view of references that are all answered by the same processes.
func of(references []service, ps ...*process) view {
	v := view{}
	for _, s := range references {
		v[s] = ps
	}
	return v
}

// and joins views.
func (v view) and(other view) view {
	all := maps.Clone(v)
	maps.Copy(all, other)
	return all
}

// differences compares the view with the calls between two reports. A reference
// that has too few calls to tell differs.
func (v view) differences(before, after report) map[string]string {
	found := map[string]string{}
	for s, ps := range v {
		var want, by []string
		for _, p := range ps {
			want = append(want, p.Name)
		}
		was, is := before.Tallies[s.reference()], after.Tallies[s.reference()]
		for name, n := range is.By {
			if n > was.By[name] {
				by = append(by, name)
			}
		}
		slices.Sort(want)
		slices.Sort(by)
		for id, n := range is.Of {
			if n > was.Of[id] && id != s.id() {
				found[id] = "calls of " + s.reference() + " went there"
			}
		}
		switch failed := is.Failed - was.Failed; {
		case is.Answered+is.Failed < was.Answered+was.Failed+enough:
			found[s.reference()] = "not enough calls yet"
		case failed > 0:
			found[s.reference()] = fmt.Sprintf("%d calls failed, answers by %v, want %v: %.150s", failed, by, want, strings.Join(is.Errors, "; "))
		case !slices.Equal(by, want):
			found[s.reference()] = fmt.Sprintf("answers by %v, want %v", by, want)
		}
	}
	return found
}

// enough says whether there are enough calls of each reference between two
// reports to tell whom it calls.
func (v view) enough(before, after report) bool {
	for s := range v {
		was, is := before.Tallies[s.reference()], after.Tallies[s.reference()]
		if is.Answered+is.Failed < was.Answered+was.Failed+enough {
			return false
		}
	}
	return true
}

// views are those of several consumers.
type views map[*process]view

// differences waits until all have made enough calls, and compares.
func (vs views) differences(t testing.TB) map[string]string {
	t.Helper()
	before, after := map[*process]report{}, map[*process]report{}
	for c := range vs {
		before[c] = c.report()
	}
	for c, v := range vs {
		eventually(t, func() string { return fmt.Sprintf("%s does not make enough calls: %+v", c.Name, after[c]) }, func() bool {
			after[c] = c.report()
			return v.enough(before[c], after[c])
		})
	}
	found := map[string]string{}
	for c, v := range vs {
		for reference, difference := range v.differences(before[c], after[c]) {
			found[c.Name+" "+reference] = difference
		}
	}
	return found
}

// awaitViews waits until all consumers call exactly whom the views say, and all
// of them, and no call fails.
func awaitViews(t testing.TB, vs views) {
	t.Helper()
	var last map[string]string
	eventually(t, func() string { return fmt.Sprintf("not all are called as they should be: %v", last) }, func() bool {
		last = vs.differences(t)
		return len(last) == 0
	})
}

// awaitView is awaitViews of one consumer.
func awaitView(t testing.TB, c *process, v view) {
	t.Helper()
	awaitViews(t, views{c: v})
}

// requireView fails unless a consumer calls exactly whom the view says, from now
// on, and no call fails.
func requireView(t testing.TB, c *process, v view) {
	t.Helper()
	require.Empty(t, views{c: v}.differences(t), "whom is not called as it should be")
}

// awaitReady waits until a process has made its references.
func awaitReady(t testing.TB, ps ...*process) {
	t.Helper()
	for _, p := range ps {
		eventually(t, func() string { return p.Name + " does not start" }, func() bool { return p.report().Ready })
	}
}

// numbered returns n services of which the names differ in a number.
func numbered(n int) []service {
	var all []service
	for i := range n {
		all = append(all, service{Interface: fmt.Sprintf("org.e2e.Greet%02d", i)})
	}
	return all
}

// serving has a provider serve other services.
func serving(s spec, services ...service) spec {
	s.Services = services
	return s
}

// instanceKey is the key of a provider as an instance of its application.
func instanceKey(p *process) string {
	at := p.Address
	if at == "" {
		at = p.Also[0].Address
	}
	return "/services/" + p.application() + "/" + at
}

func (s spec) application() string {
	if s.Application != "" {
		return s.Application
	}
	return s.Name
}

// awaitInstance waits until a provider is registered.
func awaitInstance(t testing.TB, etcd *etcdtest.Server, p *process) {
	t.Helper()
	eventually(t, func() string { return p.Name + " is not registered" }, func() bool {
		_, registered := instances(t, etcd, p.application())[instanceKey(p)]
		return registered
	})
}

// touch changes an instance in etcd, under its lease: its revision and where it
// is stay as they are.
func touch(t testing.TB, etcd *etcdtest.Server, p *process, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	eventually(t, func() string { return "it changes by itself all the time" }, func() bool {
		found := testkit.Get(t, etcd.Client(), instanceKey(p))
		require.Len(t, found.Kvs, 1, "%s is not registered", p.Name)
		kv := found.Kvs[0]
		changed := edit(t, kv.Value, func(instance map[string]any) {
			instance["metadata"].(map[string]any)["touched"] = value
		})
		done, err := etcd.Client().Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)).
			Then(clientv3.OpPut(string(kv.Key), changed, clientv3.WithLease(clientv3.LeaseID(kv.Lease)))).
			Commit()
		require.NoError(t, err)
		return done.Succeeded
	})
}

// edit changes a JSON object.
func edit(t testing.TB, encoded []byte, change func(map[string]any)) string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(encoded, &object))
	change(object)
	again, err := json.Marshal(object)
	require.NoError(t, err)
	return string(again)
}
