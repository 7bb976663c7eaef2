// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	config "dubbo.apache.org/dubbo-go/v3/common/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/historytest"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/logtest"
)

// FuzzHistory plays a history of what happens around the references of a process,
// read out of bytes, and compares whom they would call in the end with whom they
// should.
func FuzzHistory(f *testing.F) {
	ports := portsOf(f)
	for seed := range uint64(100) {
		f.Add([]byte(historytest.Random(seed, 250)))
	}
	f.Fuzz(func(t *testing.T, script []byte) { play(t, ports, script) })
}

// portsOf are ports that accept connections, and a last one that does not.
func portsOf(t testing.TB) (ports []int) {
	for range 7 {
		listening, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ports = append(ports, listening.Addr().(*net.TCPAddr).Port)
		if len(ports) == 7 {
			require.NoError(t, listening.Close())
			break
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				conn, err := listening.Accept()
				if err != nil {
					return
				}
				_ = conn.Close()
			}
		}()
		t.Cleanup(func() {
			_ = listening.Close()
			<-ended
		})
	}
	return ports
}

// applications are those that serve.
var applications = []string{"a", "b", "c"}

// overriding is a dynamic override.
type overriding struct {
	rule  int
	ports []int
}

// rule is how it stands in the config center; empty: there is none.
func (o overriding) text() string {
	enabled, of, parameter := true, "", "timeout: 7ms"
	switch o.rule {
	case 0:
		return ""
	case 2:
		parameter = "weight: 77"
	case 3:
		of = fmt.Sprintf("\n    providerAddresses: [\"127.0.0.1:%d\"]", o.ports[0])
	case 4:
		enabled = false
	case 5:
		parameter = "dubbo.tag: blue"
	}
	return fmt.Sprintf("configVersion: v2.7\nscope: application\nkey: caller\nenabled: %v\nconfigs:\n  - side: consumer\n    addresses: [\"0.0.0.0:0\"]%s\n    parameters: {%s}\n", enabled, of, parameter)
}

func (o overriding) apply(host string, port int, weight, timeout, tag *string) {
	switch o.rule {
	case 1:
		*timeout = "7ms"
	case 2:
		*weight = "77"
	case 3:
		if host == "127.0.0.1" && port == o.ports[0] {
			*timeout = "7ms"
		}
	case 5:
		*tag = "blue"
	}
}

// history is one that is being played.
type history struct {
	*market
	ports      []int
	script     historytest.Script
	references [6]*referring
	override   overriding
	strained   bool // something was wrong since it was judged last
	odd        bool // the framework panicked perhaps, and does not end what it was about to
	lines      []string
}

func play(t *testing.T, ports []int, script []byte) {
	logtest.Record(t)
	synctest.Test(t, func(t *testing.T) {
		h := &history{market: newMarket(newWorld(t)), ports: ports, script: script, override: overriding{ports: ports}}
		config.GetEnvInstance().SetDynamicConfiguration(h.center)
		defer config.GetEnvInstance().SetDynamicConfiguration(nil)
		h.refused[ports[6]] = true
		defer func() {
			if t.Failed() {
				t.Log(strings.Join(h.lines, "\n"))
			}
		}()
		for len(h.script) > 0 && !t.Failed() {
			h.step()
			for _, r := range h.references {
				if r != nil {
					r.look()
				}
			}
		}
		h.judge(true)
		for i := range h.references {
			h.unsubscribe(i)
		}
		synctest.Wait()
		assert.Empty(t, h.feeds)
		assert.Empty(t, h.reports[0].follows)
		assert.Empty(t, h.center.ends)
		assert.True(t, h.odd || len(h.live) == 0, "%v are connected", h.live)
	})
}

func (h *history) next() int { return h.script.Next(256) }

func (h *history) says(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *history) app() string { return applications[h.next()%len(applications)] }

func (h *history) report() (int, *modelReport) {
	i := h.next() % len(h.reports)
	return i, h.reports[i]
}

func (h *history) unsubscribe(i int) {
	if r := h.references[i]; r != nil {
		h.references[i] = nil
		r.end()
	}
}

// judge waits until all is as it should be; whole: after all that was wrong has been
// mended.
func (h *history) judge(whole bool) {
	if whole {
		for _, r := range h.references {
			if r != nil {
				r.telling.Lock()
				r.slow, r.leaves = 0, false
				r.telling.Unlock()
			}
		}
		h.network.Lock()
		h.refused = map[int]bool{h.ports[6]: true}
		h.network.Unlock()
		for _, app := range applications {
			h.settle(app, true)
		}
		for _, r := range h.reports {
			r.change(func(r *modelReport) { r.away, r.slow, r.late = false, 0, 0 })
		}
		h.strained = false
		time.Sleep(2 * time.Minute)
	} else {
		time.Sleep(150 * time.Millisecond)
	}
	synctest.Wait()
	lost := map[int]bool{h.ports[6]: true}
	for i, r := range h.references {
		if r != nil && r.closed { // from inside a delivery
			h.references[i] = nil
		} else if r != nil {
			assert.Zero(h.t, r.started, "it waits")
			r.judge(h.override, lost)
			if h.t.Failed() {
				h.says("that is of reference %d to %v, which has %v", i, r.service, slices.Collect(func(yield func(string) bool) {
					for _, invoker := range r.invokers() {
						yield(what(invoker.GetURL()))
					}
				}))
				return
			}
		}
	}
}
