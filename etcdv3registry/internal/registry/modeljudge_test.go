// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// everything is what a listener asks for that is no reference.
func everything() *common.URL {
	return urltest.URL("consumer", "10.0.0.9", "", urltest.Greeter, constant.InterfaceKey, urltest.Greeter, constant.CategoryKey,
		"providers,configurators", constant.GroupKey, "*", constant.VersionKey, "*")
}

// judge waits until all is as it should be; whole: after all that was wrong has been
// mended.
func (h *history) judge(whole bool) {
	if whole {
		for _, r := range h.references {
			if r != nil {
				r.mu.Lock()
				r.slow, r.leaves = 0, false
				r.mu.Unlock()
			}
		}
		h.etcd.Away(false)
		h.strained = false
		time.Sleep(2 * time.Minute)
	}
	synctest.Wait()
	for i, r := range h.references {
		if r != nil && r.closed { // from inside a delivery
			h.references[i] = nil
		} else if r != nil {
			assert.True(h.t, r.begun, "it waits")
			assert.Equal(h.t, r.wanted(), r.called(), "reference %d to %v", i, r.sort)
		}
	}
	if h.listens != nil {
		h.judgeListener()
	}
}

// judgeListener compares what a listener has been told of with what is in etcd.
func (h *history) judgeListener() {
	want := map[string]string{}
	last := map[string]int{}
	for _, e := range h.providers {
		p := e.of
		if id := fmt.Sprint(p.sort, p.host, p.port, p.started); p.enabled && e.created > last[id] {
			want[id], last[id] = fmt.Sprint(p.weight), e.created
		}
	}
	var rules []string
	for key, e := range h.overrides {
		rules = append(rules, key)
		want[key] = e.of.timeout
	}
	h.listens.mu.Lock()
	defer h.listens.mu.Unlock()
	got := map[string]string{}
	for key, raw := range h.listens.all {
		u, err := common.NewURL(raw)
		assert.NoError(h.t, err)
		if category, _, ok := layout.Split("/dubbo", key); ok && category == layout.Configurators {
			got[key] = u.GetParam(constant.TimeoutKey, "")
			continue
		}
		id := fmt.Sprint(sort{u.Protocol, u.Group(), u.Version()}, u.Ip, u.Port, u.GetParam(constant.TimestampKey, ""))
		got[id] = u.GetParam(constant.WeightKey, "")
	}
	assert.Equal(h.t, want, got, "what a listener knows, rules: %v", rules)
}
