// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"strings"
	"testing"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// giveUp is after how many changes in a row that nobody was told of no more are
// made.
const giveUp = 3

// start measures a new consumer: from its registry's making until its listener
// has been told of n providers.
func start(b *testing.B, c Contender, n int) {
	store := c.Start(b, false)
	store.Fill(b, fleet(n, 1))
	once(b, func() {
		l := newListener()
		known := l.expectCount(n)
		begin := time.Now()
		if err := open(b, c, store, noCache()...).Subscribe(consumer(serviceName(0)), l); err != nil {
			b.Fatal(err)
		}
		arrived := 0
		select {
		case at := <-known:
			arrived = n
			reportTime(b, at.Sub(begin), "total")
		case <-time.After(2 * patience):
			arrived = l.count()
		}
		reportArrived(b, arrived, n, 2*patience)
	})
}

// pair is a consumer that has been told of the first of the providers that
// another registry registers.
func pair(b *testing.B, c Contender) (Registry, *listener) {
	b.Helper()
	store := c.Start(b, false)
	providing, consuming, l := open(b, c, store, noCache()...), open(b, c, store, noCache()...), newListener()
	mustRegister(b, providing, 0)
	known := l.expectCount(1)
	if err := consuming.Subscribe(consumer(serviceName(0)), l); err != nil {
		b.Fatal(err)
	}
	select {
	case <-known:
	case <-time.After(patience):
		b.Fatalf("the listener has not been told of the first provider for %v", patience)
	}
	return providing, l
}

// added measures the time from a call of Register until the listener has been
// told, one after another.
func added(b *testing.B, c Contender) {
	r, l := pair(b, c)
	n := scale.Of(300, 20)
	once(b, func() {
		measureTelling(b, n, func(i int) (told <-chan time.Time) {
			u := provider(serviceName(0), 1+i)
			told = l.expectHost(u, true)
			if err := r.Register(u); err != nil {
				b.Fatal(err)
			}
			return told
		})
	})
}

// removed measures the same of UnRegister.
func removed(b *testing.B, c Contender) {
	r, l := pair(b, c)
	n := scale.Of(300, 20)
	for i := range n {
		mustRegister(b, r, 1+i)
	}
	settle(l, n+1)
	once(b, func() {
		failed := 0
		measureTelling(b, n, func(i int) (told <-chan time.Time) {
			u := provider(serviceName(0), 1+i)
			told = l.expectHost(u, false)
			if err := r.UnRegister(u); err != nil {
				failed++
				b.Logf("UnRegister: %s", cause(err))
			}
			return told
		})
		b.ReportMetric(float64(failed), "errors")
	})
}

// cause is the end of an error's message, in which dubbo-go repeats all of a URL
// several times.
func cause(err error) string {
	message := err.Error()
	return message[strings.LastIndex(message, ": ")+1:]
}

// measureTelling makes n changes, each when the one before has been told or has
// been waited for long enough.
func measureTelling(b *testing.B, n int, change func(i int) (told <-chan time.Time)) {
	var took distribution
	for i, missed := 0, 0; i < n && missed < giveUp; i++ {
		begin := time.Now()
		select {
		case at := <-change(i):
			took, missed = append(took, at.Sub(begin)), 0
		case <-time.After(patience / 5):
			missed++
		}
	}
	took.report(b)
	reportArrived(b, len(took), n, patience/5)
}

// settle waits until the listener knows n providers, or has been told of no
// other for a while.
func settle(l *listener, n int) {
	select {
	case <-l.expectCount(n):
	case <-time.After(patience / 2):
	}
}
