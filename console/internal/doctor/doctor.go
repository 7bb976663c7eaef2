// SPDX-License-Identifier: Apache-2.0

// Package doctor looks for what keeps a service from registering in etcd, or from
// finding others there, and says what to do. It changes nothing in etcd.
package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// Status is how a check ended.
type Status string

// What a check comes to. A warning is no reason not to start a service.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	Skipped Status = "skipped" // something before it failed
)

// Finding is a line of the report.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Text   string `json:"text"`
	Do     string `json:"do,omitempty"` // what mends it
}

// Options are what a doctor goes by.
type Options struct {
	Service target.Service
	// Configured says that the service was read from its configuration: rights are
	// those that it needs. Otherwise those of the console.
	Configured bool
	Samples    int   // how often latency is measured; zero: 50
	History    int64 // revisions that need not be compacted; zero: 100,000
}

const (
	defaultSamples = 50
	defaultHistory = 100_000
)

// patience is how long one question may take. Tests, on machines that are busy, have
// more of it.
var patience = 5 * time.Second

// doctor is one examination.
type doctor struct {
	Options
	tell func(Finding)

	secure    *tls.Config
	endpoints []string // that take connections
	client    *clientv3.Client
	statuses  map[string]*clientv3.StatusResponse // by endpoint
	slowest   time.Duration                       // what 99 of 100 requests take at most
}

// Examine makes all checks, and tells what each finds, in order. It reports whether
// none failed.
func Examine(ctx context.Context, o Options, tell func(Finding)) bool {
	if o.Samples == 0 {
		o.Samples = defaultSamples
	}
	if o.History == 0 {
		o.History = defaultHistory
	}
	healthy := true
	d := &doctor{Options: o, statuses: map[string]*clientv3.StatusResponse{}}
	d.tell = func(f Finding) {
		healthy = healthy && f.Status != Failed
		tell(f)
	}
	defer func() {
		if d.client != nil {
			_ = d.client.Close()
		}
	}()
	for i, check := range checks {
		if !check.run(d, ctx) {
			for _, later := range checks[i+1:] {
				d.say(Skipped, later.name, "", "%s has to be mended first", check.name)
			}
			break
		}
	}
	return healthy
}

// checks are in the order in which one needs another. Those that return false leave
// nothing to do for the others.
var checks = []struct {
	name string
	run  func(*doctor, context.Context) bool
}{
	{"name", (*doctor).names},
	{"connection", (*doctor).connections},
	{"tls", (*doctor).tls},
	{"version", (*doctor).versions},
	{"leader", (*doctor).leader},
	{"clock", (*doctor).clocks},
	{"login", (*doctor).login},
	{"cluster", (*doctor).cluster},
	{"space", (*doctor).space},
	{"latency", (*doctor).latency},
	{"timeout", (*doctor).timeout},
	{"history", (*doctor).history},
	{"session", (*doctor).session},
	{"rights", (*doctor).rights},
	{"keys", (*doctor).keys},
}

// say tells a finding of a check.
func (d *doctor) say(s Status, check, do, format string, args ...any) {
	d.tell(Finding{Check: check, Status: s, Text: fmt.Sprintf(format, args...), Do: do})
}

func (d *doctor) layout() keys.Layout {
	return keys.Layout{Root: d.Service.Root(), Services: d.Service.Services(), Config: d.Service.Config()}
}

// short bounds one question.
func short(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
