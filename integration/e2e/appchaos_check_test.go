// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// wrong is what is not as it should be.
type wrong struct {
	what  []string
	about []*member // those whose log may say why
}

func (w *wrong) add(what string, about ...*member) {
	w.what = append(w.what, what)
	for _, m := range about {
		if !slices.Contains(w.about, m) {
			w.about = append(w.about, m)
		}
	}
}

func (w *wrong) join(more *wrong) {
	for _, what := range more.what {
		w.add(what, more.about...)
	}
}

func (w *wrong) isNothing() bool { return len(w.what) == 0 }

// check waits until everything is exact, and from then on wants it to stay so.
func (c *appChaos) check() {
	for begin := time.Now(); !c.t.Failed() && c.settle(); {
		exact, while := time.Now(), time.Duration(0)
		if c.round%4 == 3 {
			while = 2 * chaosSession // longer than what may run out
		}
		w := c.window(while, windowLimit, false)
		if !w.isNothing() && c.pulse.starved(exact) && time.Since(begin) < patienceWithMachine {
			c.starved++
			c.Add("the machine has no time: %s", w.what[0])
			continue
		}
		c.countCalls()
		if !w.isNothing() {
			c.fail("it was exact and is not any more:\n"+strings.Join(w.what, "\n"), w.about...)
		}
		return
	}
}

// settle returns when everything is exact; or false, if it never is.
func (c *appChaos) settle() bool {
	begin := time.Now()
	var last []string // that was wrong
	for {
		took := time.Since(begin)
		late := took > recovery && !c.pulse.starved(time.Now()) || took > patienceWithMachine
		w := c.difference()
		if w.isNothing() {
			w = c.window(0, 0, late)
		}
		if w.isNothing() {
			c.settled(took, last)
			return true
		}
		if died := c.died(); died != "" {
			c.fail(died)
			return false
		}
		if late {
			c.fail(fmt.Sprintf("%v after the last fault:\n%s", took.Round(time.Second), strings.Join(w.what, "\n")), w.about...)
			return false
		}
		last = w.what
		c.pause(200 * time.Millisecond)
	}
}

func (c *appChaos) settled(took time.Duration, last []string) {
	c.Add("round %d: exact after %v", c.round, took.Round(time.Millisecond))
	c.settling += took
	if took > c.slowest {
		c.slowest = took
		c.slowestRound = fmt.Sprintf("%s\nwhat was wrong last:\n%s", c.Since(c.roundBegan), strings.Join(last, "\n"))
	}
}

// died says who has ended without being told to.
func (c *appChaos) died() string {
	for _, m := range c.members {
		if runs(m) && m.run.hasEnded() {
			return fmt.Sprintf("%s has ended by itself with %v:\n%s", m.run.name, m.run.process.cmd.ProcessState, m.run.process.tail())
		}
	}
	return ""
}

// difference compares etcd with what runs.
func (c *appChaos) difference() *wrong {
	w := &wrong{}
	var want []string
	for _, m := range c.members {
		if !provides(m) {
			continue
		}
		if c.level == byInterface {
			for _, s := range m.run.offers {
				want = append(want, s.Interface+" "+m.run.address)
			}
		} else {
			want = append(want, m.app.name+" "+m.run.address)
		}
	}
	slices.Sort(want)
	got := c.registered()
	if !slices.Equal(got, want) {
		w.add(fmt.Sprintf("in etcd are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  ")))
	}
	for _, m := range c.members {
		if c.level == byInterface || !provides(m) {
			continue
		}
		if lacks := c.lacking(m); lacks != "" {
			w.add(lacks, m)
		}
	}
	return w
}

// registered returns what etcd has of providers.
func (c *appChaos) registered() []string {
	var got []string
	if c.level == byInterface {
		for _, kv := range testkit.List(c.t, c.client, "/dubbo/").Kvs {
			if name := string(kv.Key); strings.Contains(name, "/providers/") {
				k := parseKey(c.t, name, clientv3.LeaseID(kv.Lease))
				got = append(got, strings.Split(name, "/")[2]+" "+k.url.Host)
			}
		}
	} else {
		for _, kv := range testkit.List(c.t, c.client, "/services/").Kvs {
			got = append(got, strings.ReplaceAll(strings.TrimPrefix(string(kv.Key), "/services/"), "/", " "))
		}
	}
	slices.Sort(got)
	return got
}

// lacking says what etcd lacks of an instance that runs.
func (c *appChaos) lacking(m *member) string {
	for _, s := range m.run.offers {
		names, _ := testkit.Value(c.t, c.client, mappingKey(s))
		if !slices.Contains(strings.Split(names, ","), m.app.name) {
			return fmt.Sprintf("%v is not mapped: %s holds %q", m.run, mappingKey(s), names)
		}
	}
	if !m.remote {
		return ""
	}
	key := c.metadataKey(m)
	if key == "" || len(testkit.Get(c.t, c.client, key).Kvs) == 0 {
		return fmt.Sprintf("there is no metadata of %v: %s", m.run, key)
	}
	return ""
}

func (m *member) key() string     { return "/services/" + m.app.name + "/" + m.run.address }
func mappingKey(s service) string { return "/dubbo/mapping/" + s.Interface }

// metadataKey returns where the metadata of an instance is; empty: it is not
// registered.
func (c *appChaos) metadataKey(m *member) string {
	for _, kv := range testkit.Get(c.t, c.client, m.key()).Kvs {
		var value struct{ Metadata map[string]string }
		require.NoError(c.t, json.Unmarshal(kv.Value, &value), "%s", kv.Value)
		return "/dubbo/" + m.app.name + "/" + value.Metadata["dubbo.metadata.revision"]
	}
	return ""
}
