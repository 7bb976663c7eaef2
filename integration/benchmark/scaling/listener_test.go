// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/remoting"
)

// reference knows the addresses of the service b that one process calls. Its
// methods may be called from any goroutine.
type reference struct {
	process, b int

	mu    sync.Mutex
	known map[string]bool
	lags  lags // of providers that come and go
}

func newReference(process, b int) *reference {
	return &reference{process: process, b: b, known: map[string]bool{}, lags: lags{}}
}

func (r *reference) Notify(e *registry.ServiceEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Action == remoting.EventTypeDel {
		delete(r.known, e.Service.Address())
	} else {
		r.addLocked(e.Service)
	}
}

func (r *reference) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.known
	r.known = make(map[string]bool, len(events))
	for _, e := range events {
		if before[e.Service.Address()] {
			r.known[e.Service.Address()] = true
		} else {
			r.addLocked(e.Service)
		}
	}
}

func (r *reference) addLocked(u *common.URL) {
	r.known[u.Address()] = true
	if sent, err := strconv.ParseInt(u.GetParam(sentKey, ""), 10, 64); err == nil {
		r.lags.add(time.Since(time.Unix(0, sent)))
	}
}

func (r *reference) takeLags() lags {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.lags
	r.lags = lags{}
	return taken
}

// problem says what is not as it should be, or nothing.
func (r *reference) problem(processes, rounds int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var want []string
	if r.b < blocks(processes) {
		want = providersOf(r.b, processes, rounds)
	}
	if len(r.known) != len(want) {
		return fmt.Sprintf("process %d knows %d providers of %s, of %d", r.process, len(r.known), service(r.b), len(want))
	}
	for _, address := range want {
		if !r.known[address] {
			return fmt.Sprintf("process %d does not know %s of %s", r.process, address, service(r.b))
		}
	}
	return ""
}
