// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	"dubbo.apache.org/dubbo-go/v3/registry"

	_ "github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/used"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

const (
	childVariable = "METRICS_CHILD" // "on" or "off", and the address of etcd
	services      = 100
	providers     = 10 // of each service
	registered    = 50 // providers that a child registers, and unregisters, in a round
)

func service(i int) string { return fmt.Sprintf("org.bench.Service%03d", i) }

// runChild follows all services, and does what it is told, until its stdin ends.
func runChild(how string) error {
	state, address, _ := strings.Cut(how, " ")
	if state == "on" {
		metrics.Init(common.NewURLWithOptions(common.WithProtocol(constant.ProtocolPrometheus), common.WithParamsValue(constant.ApplicationKey, "bench")))
	}
	answers := os.NewFile(3, "parent")
	defer answers.Close()
	r, err := testkit.OpenRegistry(address, "file-cache", "false")
	if err != nil {
		return err
	}
	defer r.Destroy()
	told := &listener{}
	told.changed.L = &told.mu
	for i := range services {
		u := testkit.Consumer(service(i))
		l := &one{of: told}
		if err := r.LoadSubscribeInstances(u, l); err != nil {
			return err
		}
		if err := r.Subscribe(u, l); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(answers, "ready"); err != nil {
		return err
	}
	before := used.CPU()
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		order, argument, _ := strings.Cut(orders.Text(), " ")
		switch order {
		case "begin":
			before = used.CPU()
		case "await": // the providers of a round
			round, err := strconv.Atoi(argument)
			if err != nil {
				return err
			}
			told.await(services * providers * round)
		case "register":
			if err := register(r); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(answers, int64(used.CPU()-before)); err != nil {
			return err
		}
	}
	return nil
}

func register(r registry.Registry) error {
	for i := range registered {
		u := testkit.Provider("org.bench.Own", testkit.Address(i))
		if err := r.Register(u); err != nil {
			return err
		}
		if err := r.UnRegister(u); err != nil {
			return err
		}
	}
	return nil
}

// listener counts what all listeners were told: for each provider the newest round.
type listener struct {
	mu      sync.Mutex
	changed sync.Cond
	sum     int // of the rounds of all providers
}

// await waits until the rounds of all providers add up.
func (l *listener) await(sum int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.sum < sum {
		l.changed.Wait()
	}
}

// one is the listener of a service.
type one struct {
	of     *listener
	rounds map[string]int // by address
}

func (o *one) Notify(e *registry.ServiceEvent) { o.told(e) }

func (o *one) NotifyAll(events []*registry.ServiceEvent, done func()) {
	defer done()
	o.told(events...)
}

func (o *one) told(events ...*registry.ServiceEvent) {
	if o.rounds == nil {
		o.rounds = map[string]int{}
	}
	more := 0
	for _, e := range events {
		if round := e.Service.GetParamByIntValue("round", 0); round > o.rounds[e.Service.Address()] {
			more += round - o.rounds[e.Service.Address()]
			o.rounds[e.Service.Address()] = round
		}
	}
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	o.of.sum += more
	o.of.changed.Broadcast()
}
